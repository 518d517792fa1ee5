// Command syncmap fills sync.Maps, and a map behind a sync.RWMutex and one in shards,
// and publishes what a sync.Map is made of, read through unsafe (readdirty.go, trie.go).
//
// Range and Load change a sync.Map of the older generation: what it holds is written
// down in a plain map beside it, and only after the stop do both have to agree.
//
// Stages:
//
//	amended   main.Keep.Words has entries in read and in dirty, deleted and expunged ones
//	promoted  after enough misses dirty has become read
//	cleared   main.Keep.Words after Clear (where Go has it), and with one new entry
//	spoilt    main.Keep.Large damaged as the note "finding" says: spoil()
package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"

	"gomap.test/targets/truth"
)

type (
	Point  struct{ X, Y int }
	Number int
	Entry  struct {
		Name string
		Tags []string
	}
)

// Guarded is a map behind a lock.
type Guarded struct {
	mu sync.RWMutex
	m  map[string]int
}

type Shard struct {
	sync.RWMutex
	m map[string]*Entry
}

// Service has its cache in a field.
type Service struct {
	name    string
	cache   sync.Map
	guarded Guarded
	shards  [4]Shard
}

// Keep has everything under a name that every build has.
var Keep struct {
	Never, Words, Mixed, Same, Large, Deleted sync.Map
	Service                                   Service
	Pointer                                   *sync.Map
	Any                                       any
	Hidden                                    *sync.Map // nothing else leads there, nor to the map that it holds
	Registry                                  Registry
}

// Registry is a sync.Map of another name.
type Registry sync.Map

// twin is a sync.Map and what it has to hold.
type twin struct {
	m    *sync.Map
	held map[any]any
	heap uint64
}

func of(m *sync.Map) *twin { return &twin{m: m, held: map[any]any{}} }

func (t *twin) store(key, value any) {
	t.m.Store(key, value)
	t.held[key] = value
}

func (t *twin) delete(key any) {
	t.m.Delete(key)
	delete(t.held, key)
}

func (t *twin) clear() {
	clearer, ok := any(t.m).(interface{ Clear() }) // from Go 1.23 on
	for key := range t.held {
		if !ok {
			t.m.Delete(key)
		}
		delete(t.held, key)
	}
	if ok {
		clearer.Clear()
	}
}

// fact is one sync.Map as the program knows it.
type fact struct {
	Type    string               `json:"type"`
	Address string               `json:"address"`
	Count   int                  `json:"count"`
	Entries [][2]json.RawMessage `json:"entries"`
	Heap    uint64               `json:"heap,omitempty"`
	inside
}

func (t *twin) fact() fact {
	f := fact{Type: "sync.Map", Address: fmt.Sprintf("%#x", uintptr(unsafe.Pointer(t.m))), Count: len(t.held), Heap: t.heap}
	f.Entries = [][2]json.RawMessage{}
	for key, value := range t.held {
		f.Entries = append(f.Entries, [2]json.RawMessage{truth.KeyJSON(&key), truth.JSON(&value)})
	}
	f.inside = look(t.m)
	return f
}

// agree requires that the sync.Map itself says what was published of it.
func (t *twin) agree() {
	count := 0
	t.m.Range(func(key, value any) bool {
		count++
		held, ok := t.held[key]
		truth.Check(ok && reflect.DeepEqual(held, value), fmt.Sprint("an entry of ", key))
		return true
	})
	truth.Check(count == len(t.held), fmt.Sprintf("%d entries, not %d", count, len(t.held)))
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("amended", "promoted", "cleared", "spoilt")
	debug.SetGCPercent(-1)
	k := &Keep
	words := of(&k.Words)
	for i := 0; i < 50; i++ {
		words.store(fmt.Sprint("word ", i), i)
	}
	words.agree() // Range makes dirty read
	for i := 0; i < 10; i++ {
		words.delete(fmt.Sprint("word ", i))
	}
	for i := 50; i < 55; i++ { // the first makes a dirty map, without the deleted ones
		words.store(fmt.Sprint("word ", i), i)
	}
	words.delete("word 20")
	words.delete("word 21")
	words.store("word 22", "another value")
	for i := 0; i < 7; i++ {
		_, found := k.Words.Load(fmt.Sprint("nothing ", i))
		truth.Check(!found, "nothing")
	}

	mixed := of(&k.Mixed)
	entry, number := &Entry{"an entry", []string{"a", "b"}}, 7
	for i, key := range []any{1, "one", 1.5, true, Point{1, 2}, [2]int8{3, 4}, Number(5), int8(-6), complex(1, 2), nil, entry, &number} {
		mixed.store(key, []any{nil, 0, "text", entry, number, Point{3, 4}, &number, Number(1), false, [1]string{"x"}, 2.5, uint8(9)}[i])
	}

	// The hash of an interface is that of its value's bytes: these have one hash and are different keys.
	same := of(&k.Same)
	for i := int64(0); i < 4; i++ {
		for _, key := range []any{int(i), i, uint64(i), uint(i), Number(i)} {
			same.store(key, fmt.Sprintf("%T", key))
		}
	}

	large := of(&k.Large)
	for i := 0; i < 4000; i++ {
		large.held[i] = "a value"
	}
	before := truth.Heap()
	for key, value := range large.held {
		k.Large.Store(key, value)
	}
	large.heap = truth.Heap() - before

	deleted := of(&k.Deleted)
	for i := 0; i < 500; i++ {
		deleted.store(i, i)
	}
	deleted.agree()
	for i := 0; i < 500; i++ {
		deleted.delete(i)
	}

	service := &k.Service
	service.name = "a service"
	cache := of(&service.cache)
	cache.store("a key", mapOf(3))
	service.guarded.m = map[string]int{"one": 1, "two": 2}
	for i := range service.shards {
		service.shards[i].m = map[string]*Entry{}
		for j := 0; j < 10*i; j++ {
			service.shards[i].m[fmt.Sprint("shard ", i, " key ", j)] = &Entry{Name: fmt.Sprint(j)}
		}
	}
	service.guarded.mu.RLock()
	k.Pointer, k.Any = &k.Words, &k.Words
	hide()
	for i := 0; i < 300; i++ {
		(*sync.Map)(&k.Registry).Store(fmt.Sprint("name ", i), i)
	}
	truth.Note("registry", fmt.Sprintf("%p", &k.Registry))
	truth.Note("unique", makeUnique())
	never := of(&k.Never)

	all := map[string]*twin{
		"main.Keep.Never": never, "main.Keep.Words": words, "main.Keep.Mixed": mixed, "main.Keep.Same": same,
		"main.Keep.Large": large, "main.Keep.Deleted": deleted, "main.Keep.Service.cache": cache,
		"main.Keep.Pointer": words, "main.Keep.Any": words, "service.cache": cache,
	}
	publish := func(stage string, maps ...truth.Map) {
		facts := map[string]fact{}
		for expr, t := range all {
			facts[expr] = t.fact()
		}
		truth.Note("sync", facts)
		truth.Publish(stage, maps...)
	}

	publish("amended",
		truth.Of("main.Keep.Service.guarded.m", service.guarded.m), truth.Of("service.guarded.m", service.guarded.m),
		truth.Of("main.Keep.Service.shards[0].m", service.shards[0].m),
		truth.Of("main.Keep.Service.shards[3].m", service.shards[3].m),
		truth.Of("service.shards[2].m", service.shards[2].m))
	stop("amended")

	lookups := 0
	for ; amended(&k.Words); lookups++ {
		k.Words.Load(fmt.Sprint("nothing ", lookups))
	}
	truth.Note("lookups", lookups)
	publish("promoted")
	stop("promoted")

	for _, t := range all {
		t.agree()
	}
	words.clear()
	words.store("after", Point{5, 6})
	words.clear()
	cache.clear()
	cache.store("new", "new")
	publish("cleared")
	stop("cleared")

	for _, t := range all {
		t.agree()
	}
	service.guarded.mu.RUnlock()
	truth.Note("finding", spoil(&k.Large))
	publish("spoilt")
	stop("spoilt")
	// Nothing uses it any more: the program could not survive it.
	runtime.KeepAlive([]any{service, entry, &number, handles})
	truth.Done()
}

// hide fills main.Keep.Hidden.
//
//go:noinline
func hide() {
	inner := map[int16]string{1: "one", 2: "two", 3: "three"}
	Keep.Hidden = new(sync.Map)
	Keep.Hidden.Store("inner", inner)
	truth.Note("hidden", fmt.Sprintf("%p", Keep.Hidden))
	truth.Note("inner", fmt.Sprintf("%#x", reflect.ValueOf(inner).Pointer()))
}

// mapOf is a value that is a map.
func mapOf(n int) any { return map[string]int{"n": n} }
