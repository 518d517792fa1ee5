// Command hostile has maps whose text would move a terminal: escape sequences,
// control characters, bytes that are no UTF-8, marks that turn the reading
// direction; and text that would be markup or a script in a page. They are keys,
// values, fields, what an interface holds, the path to a
// map, the tag in a type's name, and the file that a line directive names.
//
// Stages:
//
//	filled   main.hold
package main

import (
	"runtime"
	"sync"

	"gomap.test/targets/truth"
)

// Texts are what everything here is made of.
var Texts = []string{
	"\x1b[2J\x1b[1;1H\x1b]0;owned\x07", "\x1b]8;;http://example.com\x1b\\here\x1b]8;;\x1b\\",
	"\x1bP+q544e\x1b\\", "bell\abackspace\b\b\btab\tline\nreturn\rfeed\f\v", "nul\x00del\x7f",
	"\u009b31mC1\u0085", "\xff\xfe\xc0\xaf\xed\xa0\x80", "\u202egnp.exe\u202c", "\u2066x\u2069\u200f\u061c",
	"zero\u200bwidth\u2060\ufeff", "\u2028line\u2029", "\U000e0041tag", "soft\u00adhyphen\u00a0", "%s %n {0}", "$(id) `id`",
	"</script><script>owned()</script><!--", "<img src=x onerror=owned()>\"'><svg onload='owned()'>&lt;b&gt;",
}

type Line struct {
	Text  string
	Bytes []byte
	Any   any
	Array [2]string
}

var Keep struct {
	Keys   map[string]string
	Lines  map[Line2]Line
	Anys   map[any]any
	Shared map[string]map[string]int
	Tagged map[int]struct {
		A int `json:"\x1b[31m</script><script>owned()</script>"`
	}
}

// More is what other commands than those about one map have to show: a sync.Map, slices of one array, a map in
// itself, and maps that only a text leads to, over which main.hold ranges.
var More struct {
	Synced sync.Map
	Parts  map[string][]byte
	Self   map[string]any
	Own    map[string]map[string]int
}

// Line2 is a key with text in a field.
type Line2 struct {
	Text string
	N    int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("filled")
	k := &Keep
	k.Keys, k.Lines, k.Anys = map[string]string{}, map[Line2]Line{}, map[any]any{}
	k.Shared = map[string]map[string]int{}
	k.Tagged = map[int]struct {
		A int `json:"\x1b[31m</script><script>owned()</script>"`
	}{1: {2}}
	one := map[string]int{"one": 1}
	for i, text := range Texts {
		k.Keys[text] = text + text
		k.Lines[Line2{text, i}] = Line{text, []byte(text), text, [2]string{text, text}}
		k.Anys[text] = Line{Text: text}
		k.Anys[Line2{text, -i}] = text
		k.Shared[text] = one
	}
	array := []byte(Texts[0])
	More.Parts, More.Self, More.Own = map[string][]byte{}, map[string]any{}, map[string]map[string]int{}
	for i, text := range Texts {
		More.Synced.Store(text, text)
		More.Parts[text] = array[i%4:]
		More.Self[text] = More.Self
		More.Own[text] = map[string]int{text: i}
	}
	hold(k.Keys)
	truth.Done()
}

//line ]0;owned‮og.txt:1
//go:noinline
func hold(keys map[string]string) {
	local := keys
	truth.Publish("filled",
		truth.Of("local", local), truth.Of("main.Keep.Keys", Keep.Keys), truth.Of("main.Keep.Lines", Keep.Lines),
		truth.Of("main.Keep.Anys", Keep.Anys), truth.Of("main.Keep.Shared", Keep.Shared),
		truth.Of("main.Keep.Tagged", Keep.Tagged))
	stopped := false
	for text := range More.Own {
		if !stopped {
			stop("filled")
		}
		stopped = text != ""
	}
	truth.Check(len(local) == len(Texts), "the maps")
	runtime.KeepAlive(local)
}
