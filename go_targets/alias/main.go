// Command alias reaches one map in every way a program can share one: m2 := m1
// copies a pointer, not a map.
//
// Stages, and the function each stops in:
//
//	main      main.main: variables (m3 and cfg escape: &m3 and &cfg in debug
//	          information), a copied struct, a slice and an array of maps, a map of
//	          maps, an interface, pointers, a channel's buffer, package variables;
//	          "other" has the same content but is another map
//	argument  main.use: the map as an argument, in a struct passed by value, and
//	          behind a pointer argument
//	value     a closure that captured m (never assigned again: by value)
//	reference a closure that captured r (assigned again: by reference, &r in debug
//	          information)
//	goroutine main.main, while the goroutine main.hold waits with the map as its
//	          argument
package main

import (
	"runtime"

	"gomap.test/targets/truth"
)

type Config struct {
	Name string
	M    map[string]int
}

// Keep holds what main's locals hold, for builds in which they are gone.
var Keep struct {
	M1, M2, Other, None map[string]int
	Cfg, Copied         Config
	List                []map[string]int
	Arr                 [4]map[string]int
	Nested              map[string]map[string]int
	Boxed               any
	Pointer             *map[string]int
	Shared              *Config
	Ch                  chan map[string]int
	Closure             func() int
}

// Global is the map again, as a package variable.
var Global map[string]int

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// publish adds the package variables, which every stage can name.
func publish(stage string, maps ...truth.Map) {
	truth.Publish(stage, append(maps,
		truth.Of("main.Global", Global),
		truth.Of("main.Keep.M1", Keep.M1), truth.Of("main.Keep.M2", Keep.M2),
		truth.Of("main.Keep.Other", Keep.Other), truth.Of("main.Keep.None", Keep.None),
		truth.Of("main.Keep.Cfg.M", Keep.Cfg.M), truth.Of("main.Keep.Copied.M", Keep.Copied.M),
		truth.Of("main.Keep.List[0]", Keep.List[0]), truth.Of("main.Keep.Arr[3]", Keep.Arr[3]),
		truth.Of("main.Keep.Boxed", Keep.Boxed.(map[string]int)),
		truth.Of("main.Keep.Pointer", *Keep.Pointer),
		truth.Of("main.Keep.Shared.M", Keep.Shared.M),
		truth.Of("main.Keep.Nested", Keep.Nested),
		truth.Of(`Nested["in"]`, Keep.Nested["in"]).Unnamed(),
		truth.Of("Ch buffer", inBuffer).Unnamed())...)
}

// inBuffer is what main put into the channel's buffer.
var inBuffer map[string]int

func main() {
	truth.Stages("main", "argument", "value", "reference", "goroutine")
	m1 := map[string]int{"one": 1, "two": 2, "three": 3}
	m2 := m1
	other := map[string]int{"one": 1, "two": 2, "three": 3}
	var none map[string]int
	cfg := Config{Name: "first", M: m1}
	copied := cfg
	copied.Name = "second"
	list := []map[string]int{m1, nil, other}
	arr := [4]map[string]int{3: m1}
	nested := map[string]map[string]int{"in": m1, "out": other}
	var boxed any = m1
	m3 := m1
	pointer := &m3
	shared := &cfg
	ch := make(chan map[string]int, 2)
	ch <- m1
	inBuffer, Global = m1, m1

	Keep.M1, Keep.M2, Keep.Other, Keep.None, Keep.Cfg, Keep.Copied = m1, m2, other, none, cfg, copied
	Keep.List, Keep.Arr, Keep.Nested, Keep.Boxed, Keep.Pointer, Keep.Shared, Keep.Ch = list, arr, nested, boxed, pointer, shared, ch

	publish("main",
		truth.Of("m1", m1), truth.Of("m2", m2), truth.Of("m3", m3), truth.Of("other", other), truth.Of("none", none),
		truth.Of("cfg.M", cfg.M), truth.Of("copied.M", copied.M),
		truth.Of("list[0]", list[0]), truth.Of("list[1]", list[1]), truth.Of("list[2]", list[2]),
		truth.Of("arr[0]", arr[0]), truth.Of("arr[3]", arr[3]),
		truth.Of("boxed", boxed.(map[string]int)), truth.Of("pointer", *pointer), truth.Of("*pointer", *pointer),
		truth.Of("shared.M", shared.M), truth.Of("nested", nested))
	stop("main")

	use(m1, copied, pointer)
	capture(m1)

	release, ready := make(chan bool), make(chan bool)
	go hold(m1, ready, release)
	<-ready
	truth.Parked(0)
	publish("goroutine", truth.Of("m1", m1), truth.Of("m2", m2), truth.Of("main.hold's argument", m1).Unnamed())
	stop("goroutine")
	close(release)
	<-ready

	truth.Check(len(m2) == 3 && len(<-ch) == 3 && m2["three"]+list[0]["two"]+arr[3]["one"] == 6, "the shared map")
	runtime.KeepAlive([]any{m1, m2, m3, other, none, &cfg, &copied, list, &arr, nested, boxed, pointer, shared, ch})
	truth.Done()
}

//go:noinline
func use(arg map[string]int, byValue Config, p *map[string]int) {
	publish("argument", truth.Of("arg", arg), truth.Of("byValue.M", byValue.M), truth.Of("p", *p), truth.Of("*p", *p))
	stop("argument")
	runtime.KeepAlive([]any{arg, &byValue, p})
}

//go:noinline
func capture(m map[string]int) {
	r := m
	Keep.Closure = func() int {
		publish("value", truth.Of("m", m))
		stop("value")
		return len(m)
	}
	truth.Check(Keep.Closure() == 3, "the captured map")
	Keep.Closure = func() int {
		publish("reference", truth.Of("r", r), truth.Of("m", m))
		stop("reference")
		r = nil // this assignment is why r is captured by reference
		return len(m)
	}
	truth.Check(Keep.Closure() == 3 && r == nil, "the captured variable")
}

//go:noinline
func hold(arg map[string]int, ready, release chan bool) {
	ready <- true
	<-release
	truth.Check(len(arg) == 3, "the goroutine's map")
	close(ready)
}
