// Command generics has maps in the variables of generic functions, each called with types of several sizes and with
// several pointers, which share one body of code, and maps whose types have names that others have, too.
//
// Stages: one for each call of count, box, pair, deeper and closure, where the function's own map is published under
// its variable's name; local1 to local3, in functions that declare a type T of their own; inlined; and parked, where
// goroutines wait in generic functions, closures of these are kept, and all maps that these hold are published.
package main

import (
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"unsafe"

	left "gomap.test/targets/generics/left/cache"
	right "gomap.test/targets/generics/right/cache"
	"gomap.test/targets/truth"
)

type big struct {
	A [5]string
	N int
}

type node struct {
	next *node
	M    map[string]int
}

type named int

// T and P are names that functions give to types of their own, too.
type (
	T struct{ Package map[string]int }
	P struct{ X int }
)

// Points has keys of types of one name, Inside values of such types.
var (
	Points = map[any]string{P{1}: "package"}
	Inside []any
)

// Sink keeps what is computed.
var Sink int

// Kept are closures of generic functions.
var Kept []func() int

var (
	guard sync.Mutex
	held  []truth.Map
	ready sync.WaitGroup
	never = make(chan int)
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// note publishes a map at stage parked.
//
//go:noinline
func note(m truth.Map) {
	guard.Lock()
	held = append(held, m.Unnamed())
	guard.Unlock()
}

//go:noinline
func count[K comparable, V any](m map[K]V, stage string) int {
	truth.Publish(stage, truth.Of("m", m))
	stop(stage)
	return len(m)
}

type box[E any] struct {
	pad [3]E
	m   map[string]E
}

//go:noinline
func (b *box[E]) size(stage string) int {
	truth.Publish(stage, truth.Of("b.m", b.m))
	stop(stage)
	return len(b.m) + len(b.pad)
}

type pair[A, B any] struct {
	a A
	b map[string]B
}

//go:noinline
func (p pair[A, B]) size(stage string) int {
	own := p.b
	truth.Publish(stage, truth.Of("own", own), truth.Of("p.b", p.b))
	stop(stage)
	return len(own) + len(p.b)
}

// deeper calls a generic function with types that its own dictionary leads to.
//
//go:noinline
func deeper[E any](all []E, stage string) int {
	lists := map[string][]E{stage: all}
	n := count(lists, stage)
	return n + len(lists)
}

//go:noinline
func closure[E any](last E, m map[string]E, stage string) int {
	list := []E{last}
	inside := func() int {
		truth.Publish(stage, truth.Of("m", m))
		stop(stage)
		return len(m) + len(list)
	}
	n := inside()
	m[stage] = last
	return n
}

// each is inlined by an optimised build.
func each[K comparable, V any](m map[K]V, see func(K, V)) {
	for k, v := range m {
		see(k, v)
	}
	Sink += len(m)
}

//go:noinline
func local1() int {
	type T struct {
		A int
		M map[string]int
	}
	type P struct{ X int }
	m := map[string]T{"x": {1, map[string]int{"a": 1}}}
	Points[P{1}], Points[P{2}] = "local1", "local1, too"
	Inside = append(Inside, m, T{M: map[string]int{"inside": 1}})
	truth.Publish("local1", truth.Of("m", m), truth.Of(`m["x"].M`, m["x"].M))
	stop("local1")
	return len(m)
}

//go:noinline
func local2() int {
	type T struct {
		S [3]string
		M map[int]bool
	}
	type P struct{ X int }
	m := map[string]T{"y": {[3]string{"a", "b", "c"}, map[int]bool{1: true}}, "z": {}}
	Points[P{1}] = "local2"
	Inside = append(Inside, m, T{M: map[int]bool{7: true}})
	truth.Publish("local2", truth.Of("m", m), truth.Of(`m["y"].M`, m["y"].M))
	stop("local2")
	n := len(m)
	{
		type T struct {
			F [7]float64
			M map[uint8]string
		}
		type P struct{ X, Y int }
		type Named map[int]T
		m := Named{5: {[7]float64{1.5, 2.5}, map[uint8]string{3: "three"}}}
		Points[P{1, 2}] = "local3"
		Inside = append(Inside, m, T{M: map[uint8]string{9: "nine"}})
		truth.Publish("local3", truth.Of("m", m), truth.Of("m[5].M", m[5].M))
		stop("local3")
		n += len(m)
	}
	return n + len(m)
}

//go:noinline
func park[K comparable, V any](what string, m map[K]V) {
	note(truth.Of(what, m))
	ready.Done()
	Sink += <-never
	for k := range m {
		delete(m, k)
	}
}

//go:noinline
func keep[E any](what string, e *E, m map[string]*E) {
	note(truth.Of(what, m))
	Kept = append(Kept, func() int { m[what] = e; return len(m) })
}

// points tells what Points has under what is printed of one key alone, and under each key's address.
func points() (keys [][]any) {
	keys = [][]any{{"main.Points", "main.P{X:1, Y:2}", "local3"}, {"main.Points", "main.P{X:2}", "local1, too"}}
	truth.EachSlot(Points, func(key *any, elem *string) {
		keys = append(keys, []any{"main.Points", truth.Hex(uintptr(unsafe.Pointer(key))) + ":interface {}", *elem})
	})
	return keys
}

// inside tells the header that each of Inside leads to.
func inside() map[string]string {
	maps := map[string]string{}
	for i, one := range Inside {
		expr := fmt.Sprintf("main.Inside[%d]", i)
		v := reflect.ValueOf(one)
		if v.Kind() == reflect.Struct {
			expr, v = expr+".M", v.FieldByName("M")
		}
		maps[expr] = truth.Hex(v.Pointer())
	}
	return maps
}

func main() {
	truth.Stages("strings", "bigs", "bytes", "nodes", "ints", "items", "box-ints", "box-bigs", "box-nodes",
		"box-pointers", "pair", "pair-nodes", "deeper", "deeper-nodes", "deeper-pointers", "closure", "closure-nodes",
		"closure-pointers", "local1", "local2", "local3", "inlined", "parked")
	i, n := new(int), &node{M: map[string]int{"a": 1, "b": 2}}
	*i = 7

	sum := count(map[string]int{"a": 1, "b": 2, "c": 3}, "strings")
	bigs := map[int]big{}
	for k := 0; k < 40; k++ {
		bigs[k] = big{N: k}
	}
	sum += count(bigs, "bigs")
	sum += count(map[uint8]bool{1: true, 2: false}, "bytes")
	sum += count(map[string]*node{"n": n, "nil": nil}, "nodes")
	sum += count(map[string]*int{"i": i}, "ints")
	sum += count(map[left.Item]right.Item{}, "items")

	sum += (&box[int]{m: map[string]int{"one": 1}}).size("box-ints")
	sum += (&box[big]{m: map[string]big{"z": {N: 3}}}).size("box-bigs")
	sum += (&box[*node]{m: map[string]*node{"n": n}}).size("box-nodes")
	sum += (&box[*int]{m: map[string]*int{"i": i, "j": i}}).size("box-pointers")
	sum += pair[named, big]{1, map[string]big{"a": {N: 1}}}.size("pair")
	sum += pair[*node, uint8]{n, map[string]uint8{"b": 4}}.size("pair-nodes")

	sum += deeper([]int{1, 2}, "deeper")
	sum += deeper([]*node{n}, "deeper-nodes")
	sum += deeper([]*int{i}, "deeper-pointers")
	sum += closure(5, map[string]int{"five": 5}, "closure")
	sum += closure(n, map[string]*node{"n": n}, "closure-nodes")
	sum += closure(&i, map[string]**int{"i": &i}, "closure-pointers")

	sum += local1() + local2()
	each(bigs, func(k int, v big) { sum += k + v.N })
	words := map[string]int{"a": 2}
	each(words, func(k string, v int) {
		truth.Publish("inlined", truth.Of("m", words))
		stop("inlined")
		sum += v
	})

	ready.Add(4)
	go park("park ints", map[int]big{1: {N: 1}})
	go park("park nodes", map[string]*node{"n": n, "nil": nil})
	go park("park pointers", map[string]*int{"i": i})
	go park("park items", map[left.Item]right.Item{{Name: "left"}: {N: 1}})
	ready.Wait()
	keep("keep node", n, map[string]*node{"kept": n})
	keep("keep int", i, map[string]*int{"kept": i, "too": i})
	keep("keep pointers", &i, map[string]**int{"kept": &i})
	truth.Parked(0)
	truth.Note("keys", points())
	truth.Note("maps", inside())
	truth.Publish("parked", held...)
	stop("parked")
	for _, kept := range Kept {
		sum += kept()
	}
	Sink += sum
	truth.Done()
}
