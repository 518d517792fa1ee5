// Command census keeps its own list of every map it makes, most of which no
// variable that a debugger can follow leads to.
//
// The notes of a stage have maps as [address, type, entries]: "kept" ones, which
// are alive; "dropped" ones, which nothing leads to; "miscounted" ones, which have other
// entries than their header says; and "lookalikes": objects of a header's size
// that are not maps. "slotted" are kept ones that only an unsafe pointer of main.slotted holds. "stacked" has the entries of those maps whose
// header is on a stack.
// GOMAP_N small maps more make the heap as large as a benchmark wants.
//
// Stages: made, collected, sweeping.
package main

import (
	"math"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unsafe"

	"gomap.test/targets/truth"
)

// hidden keeps maps alive: what unsafe pointers point to has no type.
var hidden []unsafe.Pointer

// Named holds a map that a variable leads to.
var Named = map[string]int{"named": 1}

type (
	big    [200]byte
	limits map[string]bool
	pair   struct {
		a int32
		b string
	}
	// lookalike has the pointers of a header, Swiss or classic.
	swissAlike struct {
		n    int
		seed uint64
		p    unsafe.Pointer
		rest [3]int
	}
	classicAlike struct {
		n    int
		b    uint64
		p, q unsafe.Pointer
		r    int
		s    unsafe.Pointer
	}
)

type list [][3]any

// header is the address of a map's header.
func header(m any) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&m))[1] }

func (l *list) add(m any) {
	v := reflect.ValueOf(m)
	*l = append(*l, [3]any{truth.Hex(uintptr(header(m))), v.Type().String(), v.Len()})
}

var kept, dropped, miscounted, lookalikes, slots list
var stacked []int // entries; a stack moves

// keep hides a map: nothing with a type leads to it any more.
func keep[M ~map[K]V, K comparable, V any](m M) M {
	kept.add(m)
	hidden = append(hidden, header(m))
	return m
}

// filled makes a map of n entries on the heap.
//
//go:noinline
func filled[K comparable, V any](n int, at func(i int) (K, V)) map[K]V {
	m := map[K]V{}
	for i := 0; i < n; i++ {
		k, v := at(i)
		m[k] = v
	}
	return m
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func text(i int) string { return "key " + strconv.Itoa(i) }

// make_ makes maps of all kinds, of one size.
//
//go:noinline
func make_(n int) {
	keep(filled(n, func(i int) (int, int) { return i * 7, i }))
	keep(filled(n, func(i int) (string, string) { return text(i), strings.Repeat("v", i%50) }))
	keep(filled(n, func(i int) (string, int) { return text(i), i }))
	keep(filled(n, func(i int) (uint8, uint8) { return uint8(i), 1 }))
	keep(filled(n, func(i int) (uint64, struct{}) { return uint64(i) << 40, struct{}{} }))
	keep(filled(n, func(i int) (int, big) { return i, big{byte(i)} }))
	keep(filled(n, func(i int) (big, *int) { return big{byte(i), byte(i >> 8)}, nil }))
	keep(filled(n, func(i int) (any, any) { return []any{i, text(i), float64(i)}[i%3], i }))
	keep(filled(n, func(i int) (pair, []int) { return pair{int32(i), text(i)}, nil }))
	keep(filled(n, func(i int) (float64, *big) { return float64(i) / 3, nil }))
	keep(filled(n, func(i int) ([3]int32, complex128) { return [3]int32{int32(i)}, 1 }))
	keep(limits(filled(n, func(i int) (string, bool) { return text(i), i%2 == 0 })))
	keep(filled(n, func(i int) (float64, int) { return math.NaN(), i }))
	emptied := keep(filled(n, func(i int) (int32, int32) { return int32(i), 0 }))
	for i := 0; i < n; i++ {
		delete(emptied, int32(i))
	}
	kept[len(kept)-1][2] = 0
}

//go:noinline
func drop(n int) {
	dropped = nil
	for i := 0; i < n; i++ {
		dropped.add(filled(i%20, func(i int) (string, int) { return text(i), i }))
	}
}

// iterate stops in the middle of a loop over m.
//
//go:noinline
func iterate(m map[int]int, stopped, goOn chan bool) {
	for range m {
		stopped <- true
		<-goOn
	}
}

// onStack has a map that does not escape while then runs.
//
//go:noinline
func onStack(n int, then func()) int {
	m := map[int]int{}
	for i := 0; i < n; i++ {
		m[i] = i
	}
	stacked = append(stacked, n)
	then()
	return len(m) + m[1]
}

// untyped makes a map that only its result leads to.
//
//go:noinline
func untyped() unsafe.Pointer {
	m := filled(30, func(i int) (string, int) { return text(i), i })
	kept.add(m)
	slots.add(m)
	return header(m)
}

// slotted holds a map by a pointer without a type, in its frame alone, until ends is closed.
//
//go:noinline
func slotted(waits, ends chan bool) int {
	p := untyped()
	waits <- true
	<-ends
	return *(*int)(p)
}

//go:noinline
func others() {
	kept.add(Named)
	keep(make(map[int]int, 1000))
	keep(map[string]int{})
	for _, k := range []int{3, 5, 8} { // a classic map of so many entries has begun to grow
		keep(filled(13<<k+1, func(i int) (int, int32) { return i, 1 }))
	}
	cleared := keep(filled(500, func(i int) (int, string) { return i, "" }))
	for k := range cleared {
		delete(cleared, k)
	}
	kept[len(kept)-1][2] = 0
	made := reflect.MakeMap(reflect.MapOf(reflect.TypeOf(0), reflect.ArrayOf(3, reflect.TypeOf(""))))
	made.SetMapIndex(reflect.ValueOf(1), reflect.Zero(made.Type().Elem()))
	kept = append(kept, [3]any{truth.Hex(made.Pointer()), made.Type().String(), 1})
	hidden = append(hidden, made.UnsafePointer())
	wrong := filled(3, func(i int) (string, int) { return text(i), i })
	*(*int)(header(wrong)) = 4 // the first word of a header is its count
	miscounted.add(wrong)
	hidden = append(hidden, header(wrong))
	group := new([64]uint64)
	for i, p := range []unsafe.Pointer{nil, unsafe.Pointer(group)} {
		for _, seed := range []uint64{0, 1, 17 << 32, math.MaxUint64} {
			one := &swissAlike{n: 3 + i, seed: seed, p: p}
			two := &classicAlike{n: 3 + i, b: seed, p: p}
			three := &swissAlike{n: 1, seed: seed, p: p, rest: [3]int{1, 2, 3}}
			for _, at := range []unsafe.Pointer{unsafe.Pointer(one), unsafe.Pointer(two), unsafe.Pointer(three)} {
				hidden = append(hidden, at)
				lookalikes = append(lookalikes, [3]any{truth.Hex(uintptr(at)), "", 0})
			}
		}
	}
}

// publish also writes what the runtime itself says of the heap's objects.
func publish(stage string) {
	truth.Note("kept", kept)
	truth.Note("dropped", dropped)
	truth.Note("miscounted", miscounted)
	truth.Note("stacked", stacked)
	truth.Note("slotted", slots)
	truth.Note("lookalikes", lookalikes)
	truth.Publish(stage)
	path := os.Getenv("GOMAP_TRUTH") + ".heap"
	os.Remove(path)
	if path == ".heap" || stage == "sweeping" || os.Getenv("GOMAP_ABORT") != "" {
		return
	}
	file, err := os.Create(path)
	truth.Check(err == nil, "a file for the heap's dump")
	debug.WriteHeapDump(file.Fd())
	truth.Check(file.Close() == nil, "the heap's dump")
}

func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

func main() {
	truth.Stages("made", "collected", "sweeping")
	debug.SetGCPercent(-1)
	// What the program waits for is done one after another.
	runtime.GOMAXPROCS(1)
	for _, n := range []int{0, 1, 2, 5, 8, 9, 14, 15, 60, 200} {
		make_(n)
	}
	keep(filled(20000, func(i int) (int, int) { return i, i }))
	others()
	for i := 0; i < number("GOMAP_N"); i++ {
		hidden = append(hidden, header(map[int]int{i: i}))
	}
	stopped, goOn := make(chan bool), make(chan bool)
	go iterate(keep(filled(100, func(i int) (int, int) { return i, i })), stopped, goOn)
	<-stopped
	waits, ends, ended := make(chan bool), make(chan bool), make(chan int)
	for _, n := range []int{3, 100} { // of the second only the header is on the stack
		go func(n int) { ended <- onStack(n, func() { waits <- true; <-ends }) }(n)
		<-waits
	}
	go func() { ended <- slotted(waits, ends) }()
	<-waits
	drop(200)
	sum := onStack(5, func() {
		publish("made")
		stop("made")
		runtime.GC()
		runtime.GC()
		reused := dropped
		for i := 0; i < 100; i++ {
			keep(map[string]int{text(i): i})
		}
		dropped = reused
		publish("collected")
		stop("collected")
		drop(20000)
		publish("sweeping")
		// runtime.GC sweeps one span, and lets others run. Once the cycle is over, this is the next that does.
		var before debug.GCStats
		debug.ReadGCStats(&before)
		done := make(chan bool)
		go func() { runtime.GC(); close(done) }()
		for {
			runtime.Gosched()
			var stats debug.GCStats
			debug.ReadGCStats(&stats)
			if stats.NumGC != before.NumGC {
				break
			}
		}
		stop("sweeping")
		<-done
	})
	close(ends)
	sum += <-ended + <-ended + <-ended
	truth.Check(sum > 0 && len(hidden) > 100, "the maps")
	truth.Done()
}
