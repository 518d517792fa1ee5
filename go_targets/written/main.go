// Command written writes to maps of several types, to one after another, on several goroutines under a lock, and notes
// each write: for hmap-trace --writes. It stops in front of each map's turn, and others write to maps of the same type
// meanwhile.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"

	"gomap.test/targets/truth"
)

type write struct {
	Effect    string          `json:"effect"`
	Key       json.RawMessage `json:"key"`
	Entries   int             `json:"entries"`
	Goroutine int             `json:"goroutine"`
	Function  string          `json:"function"`
	Line      int             `json:"line"`
}

type node struct{ n int }

type wide [20]byte

type large [200]byte

var (
	Ints   = map[int]int{}
	Words  = map[uint32]string{}
	Nodes  = map[*node]bool{}
	Texts  = map[string]int{}
	Wides  = map[wide]uint16{}
	Anys   = map[any]int{}
	Larges = map[string]large{}
	Deep   = map[int]int{}
	Gone   = map[int]int{}
	Kept   []map[int]int
	// Local is where the map of stacked lies, when it stops; Twin where that of twin lay at first.
	Local, Twin uintptr
	// Unused is what debuggers watch.
	Unused [4]int

	lock     sync.Mutex
	noted    = map[string][]write{}
	expr     string
	together sync.WaitGroup
)

// here is where its caller's caller is.
func here() (function string, line int) {
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:])
	frame, _ := runtime.CallersFrames(pcs[:]).Next()
	return frame.Function, frame.Line
}

func goroutine() (id int) {
	var text [64]byte
	fmt.Sscanf(string(text[:runtime.Stack(text[:], false)]), "goroutine %d ", &id)
	return id
}

// note is called from the line that wrote, or from the next. before: entries before that.
func note[K comparable, V any](m map[K]V, k *K, there bool, before int, back int) {
	var one write
	one.Function, one.Line = here()
	one.Line -= back
	one.Goroutine, one.Entries = goroutine(), len(m)
	if k != nil {
		one.Key = truth.KeyJSON(k)
	}
	switch {
	case k == nil && before == 0, len(m) == 0 && before == 0:
		return
	case k == nil:
		one.Effect = "clear"
	case len(m) > before:
		one.Effect = "insert"
	case len(m) < before:
		one.Effect = "delete"
	case there:
		one.Effect = "overwrite"
	default:
		one.Effect = "absent"
	}
	noted[expr] = append(noted[expr], one)
}

// set is inlined where the compiler does that.
func set[K comparable, V any](m map[K]V, k K, v V) { m[k] = v }

//go:noinline
func put[K comparable, V any](m map[K]V, k K, v V) {
	_, there := m[k]
	before := len(m)
	m[k] = v
	note(m, &k, there, before, 1)
}

//go:noinline
func drop[K comparable, V any](m map[K]V, k K) {
	_, there := m[k]
	before := len(m)
	delete(m, k)
	note(m, &k, there, before, 1)
}

//go:noinline
func wipe[K comparable, V any](m map[K]V) {
	before := len(m)
	clear(m)
	note(m, nil, false, before, 1)
}

// wipeByLoop is a clear, as the compiler knows: of keys that equal themselves.
//
//go:noinline
func wipeByLoop(m map[int]int) {
	before := len(m)
	for k := range m {
		delete(m, k)
	}
	note[int, int](m, nil, false, before, 3)
}

//go:noinline
func copied[K comparable, V any](m map[K]V, k K, v V) {
	_, there := m[k]
	before := len(m)
	maps.Copy(m, map[K]V{k: v})
	note(m, &k, there, before, 1)
}

//go:noinline
func reflected[K comparable, V any](m map[K]V, k K, v *V) {
	_, there := m[k]
	before, elem := len(m), reflect.Value{}
	if v != nil {
		elem = reflect.ValueOf(*v)
	}
	reflect.ValueOf(m).SetMapIndex(reflect.ValueOf(k), elem)
	note(m, &k, there, before, 1)
}

//go:noinline
func reflectedClear[K comparable, V any](m map[K]V) {
	before := len(m)
	reflect.ValueOf(m).Clear()
	note(m, nil, false, before, 1)
}

// optimized: else the loop of wipeByLoop is one.
func optimized() bool {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Settings {
		if one.Key == "-gcflags" && strings.Contains(one.Value, "-N") {
			return false
		}
	}
	return true
}

// locked does each with the lock held, on a goroutine of its own each.
func locked(work ...func()) {
	for _, one := range work {
		together.Add(1)
		go func(one func()) {
			defer together.Done()
			one()
		}(one)
	}
	together.Wait()
}

func one(do func()) {
	lock.Lock()
	do()
	lock.Unlock()
	runtime.Gosched()
}

// fill writes to m, and to another map of its type that does not count.
func fill[K comparable, V any](m map[K]V, n int, key func(int) K, v V) {
	other := map[K]V{}
	each := func(from, to int) func() {
		return func() {
			for i := from; i < to; i++ {
				one(func() { put(m, key(i), v) })
				other2 := map[K]V{}
				set(other2, key(i), v)
				if i%3 == 0 {
					one(func() { put(m, key(i), v) })
					one(func() { drop(m, key(i-1)) })
				}
				if i%5 == 0 {
					one(func() { drop(m, key(i+n)) })
					one(func() { copied(m, key(i+1), v) })
				}
				if i%7 == 0 {
					one(func() { reflected(m, key(i), &v) })
					one(func() { reflected(m, key(i), nil) })
				}
			}
		}
	}
	noise := func() {
		for i := 0; i < n; i++ {
			set(other, key(i), v)
			delete(other, key(i-2))
		}
	}
	locked(each(0, n), each(n/2, n+n/2), noise)
	one(func() { wipe(m) })
	one(func() { put(m, key(1), v) })
	one(func() { put(m, key(2), v) })
	if ints, is := any(m).(map[int]int); is && optimized() {
		one(func() { wipeByLoop(ints) })
	}
	one(func() { wipe(m) })
	one(func() { put(m, key(3), v) })
	one(func() { drop(m, key(3)) })
	one(func() { drop(m, key(3)) })
	one(func() { put(m, key(4), v) })
	one(func() { reflectedClear(m) })
}

// down writes from a stack that has ever less room: where the runtime's functions have none left, they begin twice.
//
//go:noinline
func down(depth, k int) int {
	if depth == 0 {
		one(func() { put(Deep, k, k) })
		one(func() { put(Deep, k, k) })
		return 0
	}
	return down(depth-1, k) + 1
}

// stacked has a map in its own frame, which moves with the goroutine's stack.
func stacked() (entries int) {
	local := map[int]int{}
	local[0] = 1
	Local = *(*uintptr)(unsafe.Pointer(&local))
	stop("local")
	for i := 0; i < 3; i++ {
		put(local, i, i)
	}
	truth.Room()
	for i := 0; i < 4; i++ {
		put(local, i, i)
	}
	drop(local, 1)
	return len(local)
}

// twin is as stacked is, and so has another map in the same place of the stack once that has returned.
//
//go:noinline
func twin() int {
	local := map[int]int{}
	local[0] = 1
	Twin = *(*uintptr)(unsafe.Pointer(&local))
	expr = "twin"
	for i := 0; i < 3; i++ {
		put(local, i, i)
	}
	truth.Room()
	for i := 0; i < 4; i++ {
		put(local, i, i)
	}
	drop(local, 1)
	return len(local)
}

// freed lets a map go, and makes others until its memory has been used again.
func freed() {
	stop("main.Gone")
	Gone = nil
	runtime.GC()
	runtime.GC()
	for i := 0; i < 20000; i++ {
		m := map[int]int{}
		m[i] = i
		Kept = append(Kept, m)
	}
}

// stop is where a debugger stops the program: Cooperative, at a breakpoint of its own.
//
//go:noinline
func stop(name string) {
	expr = name
	if !truth.Cooperative {
		runtime.Breakpoint()
	}
}

func main() {
	debug.SetGCPercent(-1)
	if !truth.Cooperative {
		runtime.GOMAXPROCS(4)
	}
	nodes := make([]*node, 200)
	for i := range nodes {
		nodes[i] = &node{i}
	}
	Unused[len(os.Args)%4] = 0
	stop("main.Ints")
	fill(Ints, 24, func(i int) int { return i * 7919 }, 1)
	stop("main.Words")
	fill(Words, 12, func(i int) uint32 { return uint32(i) * 2654435761 }, "word")
	stop("main.Nodes")
	fill(Nodes, 12, func(i int) *node { return nodes[i+10] }, true)
	stop("main.Texts")
	fill(Texts, 24, func(i int) string { return strings.Repeat("k", (i+3)%3) + fmt.Sprint(i) }, 1)
	stop("main.Wides")
	fill(Wides, 12, func(i int) wide { return wide{byte(i), 2} }, 1)
	stop("main.Anys")
	fill(Anys, 12, func(i int) any {
		if i%2 == 0 {
			return fmt.Sprint(i)
		}
		return i
	}, 1)
	stop("main.Larges")
	fill(Larges, 12, func(i int) string { return fmt.Sprint("large ", i) }, large{})
	stop("main.Deep")
	var work []func()
	for depth := 0; depth < 60; depth++ {
		depth := depth
		work = append(work, func() { down(depth, depth) })
	}
	locked(work...)
	fmt.Fprintln(os.Stderr, stacked(), twin())
	freed()
	file, err := os.Create(os.Getenv("GOMAP_TRUTH"))
	if err != nil {
		panic(err)
	}
	json.NewEncoder(file).Encode(noted)
	file.Close()
	stop("")
}
