// Command values has maps whose keys and values hold the memory: scenario 17.
//
// Stage "measured": by how much the heap grew while each map was made, with all
// that its keys and values point to. Shared and Again have one block in common,
// which is in Shared's figure.
package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"gomap.test/targets/truth"
)

type Doc struct {
	Title string
	Body  []byte
	Tags  []string
	Next  *Doc
	Meta  map[string]string
}

type Point struct{ X, Y int64 }

type Name string

type Namer interface{ String() string }

func (n Name) String() string { return string(n) }

type Slot struct{ doc atomic.Pointer[Doc] }

// Keep holds the maps under the names that are published.
var Keep struct {
	Numbers    map[int]int
	Raw        map[string]json.RawMessage
	Strings    map[int]string
	Docs       map[string]*Doc
	Ring       map[int]*Doc
	Inline     map[int]Doc
	Boxed      map[string]any
	Named      map[Namer]Namer
	Tiny       map[int]*int8
	Parts      map[int]string
	Inner      map[int]*int64
	Chans      map[int]chan int64
	Pointers   map[int]chan *Point
	Funcs      map[int]func() int64
	Wide       map[int][30]string
	Grids      map[int][][]int64
	Large      map[int][]byte
	Nested     map[string]map[string]string
	Shared     map[int][]byte
	Again      map[int][]byte
	Atomics    map[int]*Slot
	Everything map[int]any
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// made fills what to points to, and says by how much that made the heap grow.
func made[K comparable, V any](to *map[K]V, n int, entry func(i int) (K, V)) uint64 {
	before := truth.Heap()
	*to = map[K]V{}
	for i := 0; i < n; i++ {
		k, v := entry(i)
		(*to)[k] = v
	}
	return truth.Heap() - before
}

func text(i, size int) string {
	return fmt.Sprint(i) + strings.Repeat("t", size)
}

func doc(i int) *Doc {
	d := &Doc{Title: text(i, 20), Body: make([]byte, 10, 700), Tags: []string{text(i, 30), "constant"}}
	d.Next = &Doc{Title: text(i, 50), Next: d}
	return d
}

func main() {
	truth.Stages("measured")
	debug.SetGCPercent(-1)
	truth.Heap()
	k := &Keep
	key := func(i int) string { return text(i, 10) }

	numbers := made(&k.Numbers, 5000, func(i int) (int, int) { return i, i })
	raw := made(&k.Raw, 2000, func(i int) (string, json.RawMessage) { return key(i), make([]byte, 1000) })
	texts := made(&k.Strings, 3000, func(i int) (int, string) { return i, text(i, 100) })
	docs := made(&k.Docs, 1000, func(i int) (string, *Doc) { return key(i), doc(i) })
	var last *Doc
	ring := made(&k.Ring, 1000, func(i int) (int, *Doc) {
		last = &Doc{Next: last}
		return i, last
	})
	inline := made(&k.Inline, 500, func(i int) (int, Doc) { return i, *doc(i) })
	boxed := made(&k.Boxed, 1000, func(i int) (string, any) {
		return key(i), []any{i + 1000, text(i, 40), Point{1, int64(i)}, &Point{2, 3}, 1.5, nil, true, []int{i}}[i%8]
	})
	named := made(&k.Named, 1000, func(i int) (Namer, Namer) { return Name(text(i, 40)), Name(text(i, 60)) })
	tiny := made(&k.Tiny, 4000, func(i int) (int, *int8) { return i, new(int8) })
	var whole string
	parts := made(&k.Parts, 1000, func(i int) (int, string) {
		if i == 0 {
			whole = text(1, 1<<20)
		}
		return i, whole[i*10 : i*10+10]
	})
	inner := made(&k.Inner, 1000, func(i int) (int, *int64) { return i, &make([]int64, 16)[5] })
	chans := made(&k.Chans, 1000, func(i int) (int, chan int64) { return i, make(chan int64, 20) })
	pointers := made(&k.Pointers, 1000, func(i int) (int, chan *Point) {
		c := make(chan *Point, 4)
		c <- &Point{1, 2}
		c <- &Point{3, 4}
		return i, c
	})
	funcs := made(&k.Funcs, 1000, func(i int) (int, func() int64) {
		p := Point{int64(i), 2}
		return i, func() int64 { return p.X + p.Y }
	})
	wide := made(&k.Wide, 200, func(i int) (int, [30]string) { return i, [30]string{text(i, 30), 29: text(i, 60)} })
	grids := made(&k.Grids, 300, func(i int) (int, [][]int64) {
		return i, [][]int64{make([]int64, 10), nil, make([]int64, 5, 20)}
	})
	large := made(&k.Large, 20, func(i int) (int, []byte) { return i, make([]byte, 100_000) })
	nested := made(&k.Nested, 200, func(i int) (string, map[string]string) {
		return key(i), map[string]string{text(i, 30): text(i, 70)}
	})
	var block []byte
	shared := made(&k.Shared, 1000, func(i int) (int, []byte) {
		if i == 0 {
			block = make([]byte, 300_000)
		}
		return i, block[i : i+1]
	})
	again := made(&k.Again, 900, func(i int) (int, []byte) { return i, block[i : i+1] })
	atomics := made(&k.Atomics, 300, func(i int) (int, *Slot) {
		s := &Slot{}
		s.doc.Store(doc(i))
		return i, s
	})
	everything := made(&k.Everything, 40, func(i int) (int, any) {
		return i, []any{doc(i), *doc(i), []*Doc{doc(i)}, map[string]*Doc{"d": doc(i)}, [3]*Doc{doc(i)}}[i%5]
	})

	truth.Note("heap", map[string]uint64{
		"main.Keep.Numbers":    numbers,
		"main.Keep.Raw":        raw,
		"main.Keep.Strings":    texts,
		"main.Keep.Docs":       docs,
		"main.Keep.Ring":       ring,
		"main.Keep.Inline":     inline,
		"main.Keep.Boxed":      boxed,
		"main.Keep.Named":      named,
		"main.Keep.Tiny":       tiny,
		"main.Keep.Parts":      parts,
		"main.Keep.Inner":      inner,
		"main.Keep.Chans":      chans,
		"main.Keep.Pointers":   pointers,
		"main.Keep.Funcs":      funcs,
		"main.Keep.Wide":       wide,
		"main.Keep.Grids":      grids,
		"main.Keep.Large":      large,
		"main.Keep.Nested":     nested,
		"main.Keep.Shared":     shared,
		"main.Keep.Again":      again,
		"main.Keep.Atomics":    atomics,
		"main.Keep.Everything": everything,
	})
	truth.Publish("measured", truth.Of("main.Keep.Numbers", k.Numbers).Heap(numbers))
	stop("measured")
	runtime.KeepAlive(last)
	truth.Check(len(k.Raw) == 2000 && len(whole) > 0 && len(block) == 300_000, "the maps")
	truth.Done()
}
