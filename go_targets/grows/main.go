// Command grows writes to maps of several types on several goroutines at once, and notes each growth as the arrays of
// the map tell it: for hmap-trace.
//
// It stops before and after that; with GOMAP_WAIT it waits for input instead.
//
// With capacities as its arguments, LINE=N, maps written to at that line are made with that size, and it prints how often
// they grew all the same.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"gomap.test/targets/truth"
)

var (
	// Kept is what a debugger asks for by name.
	Kept  = map[string]int{}
	sizes = map[int]int{}

	lock  sync.Mutex
	grown []truth.Grown
)

// line is where its caller is.
func line() int {
	_, _, at, _ := runtime.Caller(1)
	return at
}

func goroutine() (id int) {
	var text [64]byte
	fmt.Sscanf(string(text[:runtime.Stack(text[:], false)]), "goroutine %d ", &id)
	return id
}

// publish adds what a goroutine noted.
func publish(w *truth.Growing) {
	lock.Lock()
	grown = append(grown, w.Made...)
	lock.Unlock()
}

// fill writes n keys. own: the line that does. drop: what is done before each, if anything.
func fill[K comparable, V any](n, own int, write func(m map[K]V, i int) (string, int), drop func(m map[K]V, i int), m map[K]V) {
	id := goroutine()
	if size, given := sizes[own]; given {
		m = make(map[K]V, size)
	}
	w := truth.Watch(m)
	for i := 0; i < n; i++ {
		if drop != nil {
			drop(m, i)
			w.Look(len(m))
		}
		function, at := write(m, i)
		w.Wrote(len(m), id, function, at)
	}
	publish(w)
}

// set is inlined where the compiler does that.
func set(m map[int]int, k, v int) int {
	m[k] = v
	return line() - 1
}

func ints(m map[int]int, i int) (string, int) { return "main.set", set(m, i*7919, i) }

//go:noinline
func texts(m map[string]int, i int) (string, int) {
	m[fmt.Sprint("key ", i)]++
	return "main.texts", line() - 1
}

type wide [200]byte

//go:noinline
func wides(m map[wide]uint32, i int) (string, int) {
	m[wide{byte(i), byte(i >> 8)}] = uint32(i)
	return "main.wides", line() - 1
}

//go:noinline
func sets(m map[uint32]struct{}, i int) (string, int) {
	m[uint32(i)*2654435761] = struct{}{}
	return "main.sets", line() - 1
}

// reflected writes by way of reflect, whose functions are not the program's own.
//
//go:noinline
func reflected(m map[string][]int, i int) (string, int) {
	reflect.ValueOf(m).SetMapIndex(reflect.ValueOf(fmt.Sprint(i)), reflect.ValueOf([]int{i}))
	return "main.reflected", line() - 1
}

// churned writes to a map that old finds the oldest keys in: it fills with what is left of them.
//
//go:noinline
func churned(m map[int32]int64, i int) (string, int) {
	m[int32(i)] = int64(i)
	return "main.churned", line() - 1
}

func old(m map[int32]int64, i int) { delete(m, int32(i-90)) }

// deep writes from a stack that has ever less room: where the runtime's functions have none left, they begin twice.
//
//go:noinline
func deep(m map[int]int, i int) (string, int) {
	m[i] = i
	return "main.deep", line() - 1
}

//go:noinline
func down(depth int) int {
	if depth == 0 {
		fill(20, 0, deep, nil, map[int]int{})
		return 0
	}
	return down(depth-1) + 1
}

// stop is where a debugger stops the program: Cooperative, at a breakpoint of its own. With GOMAP_WAIT it waits.
//
//go:noinline
func stop() {
	if os.Getenv("GOMAP_WAIT") != "" {
		fmt.Println("waiting")
		os.Stdin.Read(make([]byte, 1))
	} else if !truth.Cooperative {
		runtime.Breakpoint()
	}
}

func together(work []func()) {
	var all sync.WaitGroup
	var start sync.WaitGroup
	start.Add(1)
	for _, one := range work {
		all.Add(1)
		go func(one func()) {
			defer all.Done()
			start.Wait()
			one()
		}(one)
	}
	start.Done()
	all.Wait()
}

func main() {
	for _, given := range os.Args[1:] {
		var at, size int
		if n, _ := fmt.Sscanf(given, "%d=%d", &at, &size); n != 2 {
			panic(given)
		}
		sizes[at] = size
	}
	debug.SetGCPercent(-1) // what was replaced keeps its address
	if !truth.Cooperative {
		runtime.GOMAXPROCS(4)
	}
	if len(os.Args) == 1 {
		stop()
	}
	_, setAt := ints(map[int]int{}, 0)
	_, textsAt := texts(map[string]int{}, 0)
	_, widesAt := wides(map[wide]uint32{}, 0)
	_, setsAt := sets(map[uint32]struct{}{}, 0)
	_, reflectedAt := reflected(map[string][]int{}, 0)
	work := []func(){
		func() { fill(6000, setAt, ints, nil, map[int]int{}) },
		func() { fill(3000, setAt, ints, nil, map[int]int{}) },
		func() { fill(7000, textsAt, texts, nil, Kept) },
		func() { fill(300, widesAt, wides, nil, map[wide]uint32{}) },
		func() { fill(1500, setsAt, sets, nil, map[uint32]struct{}{}) },
		func() { fill(900, reflectedAt, reflected, nil, map[string][]int{}) },
		func() { fill(4000, 0, churned, old, map[int32]int64{}) },
		func() { fill(8, 0, texts, nil, map[string]int{}) },
	}
	for depth := 0; depth < 100; depth++ {
		depth := depth
		work = append(work, func() { down(depth) })
	}
	together(work)
	if len(os.Args) > 1 {
		count := map[string]int{}
		for _, one := range grown {
			count[strings.TrimPrefix(one.Function, "main.")]++
		}
		json.NewEncoder(os.Stdout).Encode(count)
		return
	}
	file, err := os.Create(os.Getenv("GOMAP_TRUTH"))
	if err != nil {
		panic(err)
	}
	json.NewEncoder(file).Encode(grown)
	file.Close()
	stop()
}
