// Command race has goroutines inside map operations for as long as it takes to
// look at them, and dies of each of the runtime's reports of a data race.
//
// A goroutine is kept inside by the comparison of keys: it operates on the map
// through truth.Slowed, under a type whose keys are compared by a function that
// waits or spins. No header is changed by hand: that the write flag is up is the
// runtime's own doing, and so is the death of whoever comes next.
//
// Stages:
//
//	quiet     goroutines hold maps, nobody is inside an operation
//	inside    one goroutine each waits in a read, write, delete and growth, and
//	          one spins in a write; others only hold these maps
//	tour      main.main is about to go through every kind of map operation; the
//	          debugger sets breakpoints in the runtime
//
// Only with GOMAP_STAGE=writes, reads, iteration, clone, marshal, reflect: instead
// of "inside" and "tour" a goroutine waits in a write, main.main operates on the
// same map, and the runtime ends the program. With "reflect" another goroutine
// waits in a write to another map. GOMAP_STAGE=real: two goroutines write as fast
// as they can, until it does.
//
// Published as unnamed maps:
//
//	inside GOID OPERATION FUNCTION LINE  a goroutine inside an operation on this map
//	holds GOID FUNCTION VARIABLE         a goroutine that has the map
//	serves GOID FUNCTION                 one that waits in the function that dies
//	step N SYMBOL OPERATION FUNCTION LINE  what the tour does, in order
//
// Who died, of what and on which line the runtime says itself, on standard error.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"gomap.test/targets/truth"
)

// Registry is what the goroutines share.
type Registry struct {
	name   string
	byName map[string]int
}

// Shared is the registry that is written to.
var Shared *Registry

var (
	guard   sync.Mutex
	told    []truth.Map
	entered sync.WaitGroup
	never   = make(chan bool)
	done    atomic.Bool
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func registry(name string, entries int) *Registry {
	m := make(map[string]int)
	for i := 0; i < entries; i++ {
		m["key"+strconv.Itoa(i)] = i
	}
	return &Registry{name, m}
}

// tell publishes m under expr with the entries it has now: nobody may range over
// it once somebody is inside.
func tell[M ~map[K]V, K comparable, V any](expr string, m M) {
	guard.Lock()
	defer guard.Unlock()
	header := *(*uintptr)(unsafe.Pointer(&m))
	entries := [][2]any{}
	for k, v := range m {
		entries = append(entries, [2]any{k, v})
	}
	told = append(told, truth.At(expr, header, reflect.TypeOf(m), len(m), entries).Torn().Unnamed())
}

// holds tells that the caller's variable has m.
func holds(variable string, m map[string]int) {
	pc, _, _, _ := runtime.Caller(1)
	tell(fmt.Sprintf("holds %d %s %s", truth.Goid(), runtime.FuncForPC(pc).Name(), variable), m)
}

// enters tells that the caller's next line is an operation on m.
func enters(operation string, m map[string]int) {
	pc, _, line, _ := runtime.Caller(1)
	tell(fmt.Sprintf("inside %d %s %s %d", truth.Goid(), operation, runtime.FuncForPC(pc).Name(), line+1), m)
}

// waits compares two keys, and never has a result.
func waits(p, q unsafe.Pointer) bool {
	entered.Done()
	<-never
	return equals(p, q)
}

func equals(p, q unsafe.Pointer) bool { return *(*string)(p) == *(*string)(q) }

// spins compares two keys for as long as the program lives; it waits where nothing could interrupt it.
func spins(p, q unsafe.Pointer) bool {
	entered.Done()
	if truth.Cooperative {
		<-never
	}
	for !done.Load() {
	}
	return equals(p, q)
}

// waitsAtSecond is a hash function that waits when it is called again: an insert
// hashes its own key first, then those that it moves.
func waitsAtSecond(m map[string]int) func(unsafe.Pointer, uintptr) uintptr {
	hash, calls := truth.Hasher(reflect.TypeOf(m)), 0
	return func(p unsafe.Pointer, seed uintptr) uintptr {
		if calls++; calls == 2 {
			entered.Done()
			<-never
		}
		return hash(p, seed)
	}
}

//go:noinline
func (r *Registry) read(key string) {
	slow := truth.Slowed(r.byName, waits, nil)
	enters("read", r.byName)
	slow.MapIndex(reflect.ValueOf(key))
	runtime.KeepAlive(r)
}

//go:noinline
func (r *Registry) write(key string) {
	slow := truth.Slowed(r.byName, waits, nil)
	enters("write", r.byName)
	slow.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(1))
	runtime.KeepAlive(r)
}

//go:noinline
func (r *Registry) remove(key string) {
	slow := truth.Slowed(r.byName, waits, nil)
	enters("delete", r.byName)
	slow.SetMapIndex(reflect.ValueOf(key), reflect.Value{})
	runtime.KeepAlive(r)
}

//go:noinline
func (r *Registry) grow(key string) {
	slow := truth.Slowed(r.byName, equals, waitsAtSecond(r.byName))
	enters("grow", r.byName)
	slow.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(1))
	runtime.KeepAlive(r)
}

//go:noinline
func (r *Registry) spin(key string) {
	slow := truth.Slowed(r.byName, spins, nil)
	enters("write", r.byName)
	slow.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(1))
	runtime.KeepAlive(r)
}

// hold has the registry and does nothing with it.
//
//go:noinline
func (r *Registry) hold() {
	m := r.byName
	holds("m", m)
	entered.Done()
	<-never
	r.byName = nil
	m["woken"] = 1
}

// What the program dies of, each on one line.

// serve writes what is asked for.
//
//go:noinline
func (r *Registry) serve(keys <-chan string) {
	for key := range keys {
		r.byName[key] = 1
	}
}

// waitsIn is serve in a goroutine of its own, that nothing is asked for.
func (r *Registry) waitsIn() {
	tell(fmt.Sprintf("serves %d main.(*Registry).serve", truth.Goid()), r.byName)
	entered.Done()
	r.serve(make(chan string))
}

// marshal has a package of Go's own go through the map.
//
//go:noinline
func (r *Registry) marshal() {
	json.Marshal(r.byName)
	runtime.KeepAlive(r)
}

// reflected is in the middle of an iteration when others begin to write, to this map and to another.
//
//go:noinline
func (r *Registry) reflected() {
	iterator := reflect.ValueOf(r.byName).MapRange()
	iterator.Next()
	other := registry("other", 4)
	entered.Add(1)
	go other.write("key1")
	writes()
	iterator.Next()
	runtime.KeepAlive(r)
}

//go:noinline
func (r *Registry) get(key string) (found int) {
	found = r.byName[key]
	runtime.KeepAlive(r)
	return found
}

//go:noinline
func (r *Registry) sum() (sum int) {
	for _, n := range r.byName {
		sum += n
	}
	runtime.KeepAlive(r)
	return sum
}

//go:noinline
func (r *Registry) copied() (m map[string]int) {
	m = maps.Clone(r.byName)
	runtime.KeepAlive(r)
	return m
}

// forever writes without an end, and without a lock.
//
//go:noinline
func (r *Registry) forever(key string) {
	for i := 0; ; i++ {
		r.byName[key] = i
	}
}

func main() {
	wanted := os.Getenv("GOMAP_STAGE")
	deaths := map[string]func(r *Registry){
		"writes":    func(r *Registry) { r.serve(asked("key3")) },
		"reads":     func(r *Registry) { r.get("key3") },
		"iteration": func(r *Registry) { r.sum() },
		"clone":     func(r *Registry) { r.copied() },
		"marshal":   func(r *Registry) { r.marshal() },
		"reflect":   func(r *Registry) { r.reflected() },
		"real":      func(r *Registry) { r.forever("key3") },
	}
	death := deaths[wanted]
	if death == nil {
		truth.Stages("quiet", "inside", "tour")
	} else {
		truth.Stages("quiet", wanted)
	}

	Shared = registry("shared", 4)
	entered.Add(2)
	go Shared.hold()
	go Shared.hold()
	allEntered(0)
	publish("quiet")

	if death != nil {
		die(wanted, death)
	}
	others := []*Registry{registry("read", 4), registry("delete", 4), registry("grow", 8), registry("spin", 4)}
	for i, operate := range []func(*Registry){
		func(r *Registry) { Shared.write("key1") },
		func(r *Registry) { r.read("key1") },
		func(r *Registry) { r.remove("key1") },
		func(r *Registry) { r.grow("new") },
		func(r *Registry) { r.spin("key1") },
	} {
		operate, r := operate, others[max(i-1, 0)]
		entered.Add(1)
		go operate(r)
		entered.Wait()
	}
	entered.Add(1)
	go others[0].hold()
	allEntered(1)
	publish("inside")

	steps := itinerary()
	for i, s := range steps {
		s.tell(i)
	}
	publish("tour")
	for _, s := range steps {
		s.run()
	}
	done.Store(true)
	truth.Done()
}

// allEntered returns when those that have told so wait: the race detector takes part in that. spinning: how many never
// do.
func allEntered(spinning int) {
	entered.Wait()
	truth.Parked(spinning)
}

//go:noinline
func publish(stage string) {
	truth.Publish(stage, told...)
	stop(stage)
}

// die provokes the runtime's report.
func die(stage string, death func(r *Registry)) {
	if stage == "real" {
		truth.Publish(stage, told...)
		go Shared.forever("key1")
		death(Shared)
	}
	if stage == "writes" {
		entered.Add(2)
		go Shared.waitsIn()
		go Shared.waitsIn()
		allEntered(0)
	}
	dying = stage
	if stage != "reflect" {
		writes()
	}
	death(Shared)
}

// dying is the stage that the program is about to die in.
var dying string

// writes has a goroutine wait in a write to the map, and publishes.
func writes() {
	entered.Add(1)
	go Shared.write("key1")
	allEntered(0)
	truth.Publish(dying, told...)
}

// asked is a channel with one request.
func asked(key string) <-chan string {
	keys := make(chan string, 1)
	keys <- key
	return keys
}
