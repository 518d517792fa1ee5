// Command holders has one map in many hands, maps in the frames of parked goroutines, and types whose packages have
// one name.
//
// Stage "held". The note "holders" has what holds Shared, as [path, function, goroutines]; "goroutines" has what each
// worker's variables hold, by its id; "types" has maps as [address, type as a program writes it, type in full];
// "addresses" has what lies at addresses, as [address, what names the map there, the map's address].
package main

import (
	"runtime"
	"sort"
	"strconv"
	"sync"
	"unsafe"

	acache "gomap.test/targets/holders/a/cache"
	bcache "gomap.test/targets/holders/b/cache"
	"gomap.test/targets/holders/store"
	"gomap.test/targets/truth"
)

type Customer struct{ Name string }

// Large is more than the allocator keeps type bits for in its span.
type Large struct {
	Pad   [1000]byte
	Next  *Large
	Names map[string]int
}

var (
	Shared = map[string]int{"one": 1}
	Alone  = map[string]int{"two": 2}
	Config struct {
		Name   string
		Limits map[string]int
	}
	Boxed   any
	Listed  []map[string]int
	Items   = acache.New(3, Customer{"a"})
	Others  = bcache.New(4, Customer{"b"})
	Shelves = store.New[Customer](5)
	Kept    = &Large{Names: map[string]int{"large": 1}}
	Hidden  uintptr // of a Large, which nothing else leads to
	sink    any     // makes what it has escape to the heap

	started sync.WaitGroup
	guard   sync.Mutex
	workers = map[int]map[string]string{}
	never   = make(chan int)
	blocked sync.Mutex // stays locked
	locked  = map[int]string{}
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func header[M ~map[K]V, K comparable, V any](m *M) string {
	return truth.Hex(**(**uintptr)(unsafe.Pointer(&m)))
}

//go:noinline
func worker(n int) {
	truth.Room()
	shared := Shared
	own := map[string]int{}
	m := map[int]string{n: "outer"}
	for i := 0; i <= n; i++ {
		own["key "+strconv.Itoa(i)] = n
	}
	var synced sync.Map
	synced.Store(n, own)
	guard.Lock()
	workers[truth.Goid()] = map[string]string{"own": header(&own), "m": header(&m), "n": strconv.Itoa(n)}
	guard.Unlock()
	park(own)
	synced.Store(0, shared)
	shared["never"] = own["never"]
	m[0] = ""
}

// locks has a map m, and waits in functions that have variables m too.
//
//go:noinline
func locks() {
	truth.Room()
	m := map[string]int{"locked": 1}
	guard.Lock()
	locked[truth.Goid()] = header(&m)
	guard.Unlock()
	started.Done()
	blocked.Lock()
	m["never"]++
}

// park has a variable m that is not a map.
//
//go:noinline
func park(own map[string]int) {
	m := []int{len(own)}
	started.Done()
	m[0] = <-never
	own["never"] = m[0]
}

func main() {
	truth.Stages("held")
	Config.Limits, Boxed = Shared, Shared
	Listed = []map[string]int{nil, Shared}
	local := Shared
	started.Add(4)
	blocked.Lock()
	go locks()
	for n := 0; n < 3; n++ {
		go worker(n)
	}
	started.Wait()
	truth.Parked(0)
	ids := []int{}
	for id := range workers {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	kept := &Large{Names: map[string]int{"hidden": 1}}
	sink = kept
	sink = nil
	Hidden = uintptr(unsafe.Pointer(kept))
	truth.Note("holders", [][3]any{
		{"main.Shared", nil, nil}, {"main.Config.Limits", nil, nil}, {"main.Boxed", nil, nil},
		{"main.Listed[1]", nil, nil}, {"local", "main.main", []int{1}}, {"shared", "main.worker", ids},
	})
	truth.Note("goroutines", workers)
	truth.Note("locked", locked)
	truth.Note("types", [][3]string{
		{header(&Items), "map[string]cache.Item[main.Customer]", "map[string]gomap.test/targets/holders/a/cache.Item[main.Customer]"},
		{header(&Others), "map[string]cache.Item[main.Customer]", "map[string]gomap.test/targets/holders/b/cache.Item[main.Customer]"},
		{header(&Shelves), "map[int]store.Shelf[main.Customer]", "map[int]gomap.test/targets/holders/store.Shelf[main.Customer]"},
		{header(&Shelves), "map[int]store.Shelf[Customer]", "map[int]gomap.test/targets/holders/store.Shelf[main.Customer]"},
	})
	at := func(p unsafe.Pointer) string { return truth.Hex(uintptr(p)) }
	truth.Note("addresses", [][3]string{
		{header(&Shared), "", header(&Shared)},
		{at(unsafe.Pointer(&Config)), ".Limits", header(&Shared)},
		{at(unsafe.Pointer(&Config.Limits)), "", header(&Shared)},
		{at(unsafe.Pointer(&Listed[1])), "", header(&Shared)},
		{at(unsafe.Pointer(Kept)), ".Names", header(&Kept.Names)},
		{at(unsafe.Pointer(&Kept.Names)), "", header(&Kept.Names)},
		{at(unsafe.Pointer(kept)), ".Names", header(&kept.Names)},
	})
	truth.Note("hidden", truth.Hex(Hidden))
	names := kept.Names
	kept = nil // the collector must not run from here on
	truth.Publish("held", truth.Of("main.Shared", Shared), truth.Of("main.Alone", Alone), truth.Of("main.Items", Items),
		truth.Of("main.Others", Others), truth.Of("main.Shelves", Shelves))
	stop("held")
	truth.Check(len(local) == 1 && len(names) == 1, "the maps")
	truth.Done()
}
