// Command moments has the same maps at two moments, and knows how each has changed between them: grown, shrunk, cleared,
// emptied and filled again, appeared, freed, and made anew where another was freed. It publishes every map at
// both, the changes, and which keys of one of them were added, removed and changed.
//
// With GOMAP_MOMENTS it stops nowhere: it says the name of each moment, and goes on when it reads a line.
//
// Stages: before, after.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"gomap.test/targets/truth"
)

type Session struct {
	User string
	Hits int
	Tags map[string]bool
}

var (
	Grows    = map[int]int{}
	Shrinks  = map[string]int{}
	Cleared  = map[int]string{}
	Emptied  = map[uint8]bool{}
	Refilled = map[int]int{}
	Batch    = map[int]bool{}
	Changed  = map[string]*Session{}
	Still    = map[string]int{}
	Presized map[int]int
	Many     []map[int]int
	Users    = map[string]*Session{}
	Gone     map[int]int
	Reused   map[int]int
	Tried    []map[int]int
	Hidden   [16]unsafe.Pointer
	Sync     sync.Map
)

// change is how a map has changed. What: appeared, vanished, grew, shrank or changed. Before, After: its entries.
// Address: of its header. Path is empty where no variable with a type leads to the map.
type change struct {
	What    string `json:"what"`
	Path    string `json:"path"`
	Address string `json:"address"`
	Before  int    `json:"before"`
	After   int    `json:"after"`
}

var changes []change

//go:noinline
func stop(stage string) {
	if os.Getenv("GOMAP_MOMENTS") != "" {
		fmt.Println(stage)
		bufio.NewReader(os.Stdin).ReadString('\n')
		return
	}
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func at[K comparable, V any](m map[K]V) uintptr { return *(*uintptr)(unsafe.Pointer(&m)) }

func has[K comparable, V any](what, path string, m map[K]V, before int) {
	changes = append(changes, change{what, path, fmt.Sprintf("0x%x", at(m)), before, len(m)})
}

//go:noinline
func made(entries int) map[int]int {
	m := map[int]int{}
	for k := 0; k < entries; k++ {
		m[k] = k
	}
	return m
}

//go:noinline
func hide(i, entries int) uintptr {
	m := map[int64]int8{}
	for k := 0; k < entries; k++ {
		m[int64(k)] = int8(k)
	}
	Hidden[i] = *(*unsafe.Pointer)(unsafe.Pointer(&m))
	return at(m)
}

func begin() {
	for k := 0; k < 10; k++ {
		Grows[k] = k
	}
	for k := 0; k < 500; k++ {
		Shrinks["key "+strconv.Itoa(k)] = k
	}
	for k := 0; k < 300; k++ {
		Cleared[k] = strconv.Itoa(k)
	}
	for k := 0; k < 5; k++ {
		Emptied[uint8(k)] = true
		Still[strconv.Itoa(k)] = k
	}
	for k := 0; k < 5000; k++ {
		Refilled[k] = k
	}
	for k := 0; k < 6; k++ {
		Batch[k] = true
	}
	for _, user := range []string{"ann", "bob", "cleo", "dan"} {
		Changed[user] = &Session{User: user, Hits: len(user)}
		Users[user] = &Session{User: user, Tags: map[string]bool{"new": true}}
	}
	for i := 0; i < 200; i++ {
		Many = append(Many, made(i%20+1))
	}
	Gone = made(7)
	for i := 0; i < 5; i++ {
		hide(i, i+2)
	}
	for k := 0; k < 3; k++ {
		Sync.Store(k, strconv.Itoa(k))
	}
}

// free returns the address of a map that the next collection frees.
//
//go:noinline
func free() uintptr {
	address := at(Gone)
	changes = append(changes, change{"vanished", "main.Gone", fmt.Sprintf("0x%x", address), len(Gone), 0})
	Gone = nil
	return address
}

func proceed() {
	for k := 10; k < 1000; k++ {
		Grows[k] = k
	}
	has("grew", "main.Grows", Grows, 10)
	for k := 120; k < 500; k++ {
		delete(Shrinks, "key "+strconv.Itoa(k))
	}
	has("shrank", "main.Shrinks", Shrinks, 500)
	clear(Cleared)
	has("shrank", "main.Cleared", Cleared, 300)
	for k := 0; k < 5; k++ {
		delete(Emptied, uint8(k))
	}
	has("shrank", "main.Emptied", Emptied, 5)
	for k := 0; k < 5000; k++ {
		delete(Refilled, k)
	}
	for k := 0; k < 100; k++ { // its tables, which have room for more, stay
		Refilled[-k] = k
	}
	has("shrank", "main.Refilled", Refilled, 5000)
	for k := 0; k < 6; k++ {
		delete(Batch, k)
	}
	for k := 0; k < 4; k++ {
		Batch[-k] = true
	}
	has("shrank", "main.Batch", Batch, 6)

	delete(Changed, "ann")
	Changed["bob"].Hits = 77
	Changed["eve"] = &Session{User: "eve"}
	// As many entries as before: whether the place of the deleted one is seen depends on the key's hash.

	Presized = make(map[int]int, 2000)
	has("appeared", "main.Presized", Presized, 0)
	for i := 0; i < 20; i++ {
		before := len(Many[i])
		Many[i][-1] = i
		has("grew", fmt.Sprintf("main.Many[%d]", i), Many[i], before)
	}
	for i := 200; i < 300; i++ {
		Many = append(Many, made(3))
		has("appeared", fmt.Sprintf("main.Many[%d]", i), Many[i], 0)
	}
	Users["ann"].Tags["paid"] = true
	has("grew", `main.Users["ann"].Tags`, Users["ann"].Tags, 1)
	Users["eve"] = &Session{User: "eve", Tags: map[string]bool{"new": true}}
	has("appeared", `main.Users["eve"].Tags`, Users["eve"].Tags, 0)
	has("grew", "main.Users", Users, 4)
	for i := 5; i < 8; i++ {
		address := hide(i, i+2)
		changes = append(changes, change{"appeared", "", fmt.Sprintf("0x%x", address), 0, i + 2})
	}
	for k := 3; k < 7; k++ {
		Sync.Store(k, strconv.Itoa(k))
	}

	freed := free()
	collect()
	// Another map of the same type, whose header lies where the freed one's was. All that are made until then stay.
	for i := 0; i < 20000 && Reused == nil; i++ {
		m := made(7)
		if at(m) == freed {
			Reused = m
			break
		}
		Tried = append(Tried, m)
	}
	for i, m := range Tried {
		has("appeared", fmt.Sprintf("main.Tried[%d]", i), m, 0)
	}
	if Reused != nil {
		has("appeared", "main.Reused", Reused, 0)
	}
}

func collect() {
	runtime.GC()
	runtime.GC()
}

func publish(stage string) {
	truth.Publish(stage, truth.Of("main.Grows", Grows), truth.Of("main.Shrinks", Shrinks), truth.Of("main.Cleared", Cleared),
		truth.Of("main.Emptied", Emptied), truth.Of("main.Refilled", Refilled), truth.Of("main.Changed", Changed),
		truth.Of("main.Still", Still), truth.Of("main.Presized", Presized), truth.Of("main.Many[0]", Many[0]),
		truth.Of("main.Users", Users), truth.Of(`main.Users["ann"].Tags`, Users["ann"].Tags))
}

func main() {
	truth.Stages("before", "after")
	begin()
	publish("before")
	collect()
	stop("before")

	proceed()
	truth.Note("changes", changes)
	truth.Note("entries", map[string][]string{"added": {"eve"}, "removed": {"ann"}, "changed": {"bob"}})
	truth.Note("reused", Reused != nil)
	publish("after")
	collect()
	stop("after")
	truth.Check(len(Many) == 300 && Many[0][-1] == 0 && len(Changed) == 4 && len(Still) == 5, "the maps")
	truth.Done()
}
