// Command advise has one map, or group of maps, for each thing that can be
// advised, and some for which there is nothing to advise. Of each it makes a twin,
// changes that as advised, and publishes how many bytes that saved.
//
// Stages: made.
package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"gomap.test/targets/truth"
)

const (
	many   = 48000 // tables (buckets) that take so many do so by far
	spread = 900   // so many leave two tables half empty, and few of 2^8 classic buckets overflow: less than the spare ones
	loose  = 1000  // room for so many, and no bucket that overflows
	empty  = 4096
	tiny   = 4096 // slices of so many maps, and of so many slices, are whole pages
)

type point struct{ X, Y int64 }

type pair struct {
	key  uint32
	elem uint64
}

type wide [5]int64

// Keep holds the maps under the names that are published.
var Keep struct {
	Deleted  map[int]int
	Grown    map[int]int
	Presized map[int]int
	Few      map[int]int
	True     map[string]bool
	OneFalse map[string]bool
	Wide     map[string]wide
	Tiny     []map[uint32]uint64
	Empty    []map[uint16]uint64
	Again    map[int]string
	First    map[string]int
	Second   map[string]int
	Pinned   map[string]int
	Slices   map[int][]byte
	Inline   map[int]*point
	Shared   map[int]*point
	Arrays   map[string]int
}

// Twin is what is measured.
var Twin struct{ before, after any }

var keys []string

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func stats() (held, total int64) {
	var m runtime.MemStats
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.TotalAlloc)
}

// steady is what measure says twice: the runtime allocates for itself now and then.
func steady(measure func() int64) int64 {
	seen := map[int64]bool{}
	for i := 0; ; i++ {
		found := measure()
		if seen[found] || i == 20 {
			return found
		}
		seen[found] = true
	}
}

// saves is how many bytes the heap has fewer when what made makes is changed.
func saves[A, B any](made func() A, change func(A) B) int64 {
	return steady(func() int64 {
		Twin.before = made()
		before, _ := stats()
		Twin.after = change(Twin.before.(A))
		Twin.before = nil
		after, _ := stats()
		Twin.after = nil
		return before - after
	})
}

// allocates is how many bytes are allocated while fill runs.
func allocates(fill func() map[int]int) int64 {
	return steady(func() int64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Twin.after = fill()
		runtime.ReadMemStats(&after)
		Twin.after = nil
		stats()
		return int64(after.TotalAlloc - before.TotalAlloc)
	})
}

func ints(m map[int]int, n int) map[int]int {
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

func deleted() map[int]int {
	m := ints(make(map[int]int, 100000), 10000)
	for i := 10; i < 10000; i++ {
		delete(m, i)
	}
	return m
}

func allTrue() map[string]bool {
	m := make(map[string]bool, spread)
	for _, k := range keys[:spread] {
		m[k] = true
	}
	return m
}

func oneFalse() map[string]bool {
	m := allTrue()
	m[keys[7]] = false
	return m
}

func wides() map[string]wide {
	m := make(map[string]wide, spread)
	for _, k := range keys[:spread] {
		m[k] = wide{1, 2, 3, 4, 5}
	}
	return m
}

func set[V any](m map[string]V) map[string]struct{} {
	found := make(map[string]struct{}, spread)
	for k := range m {
		found[k] = struct{}{}
	}
	return found
}

func tinies() []map[uint32]uint64 {
	all := make([]map[uint32]uint64, tiny)
	for i := range all {
		all[i] = map[uint32]uint64{1: 2, uint32(i) + 2: 3, 1 << 31: 4}
	}
	return all
}

func empties() []map[uint16]uint64 {
	all := make([]map[uint16]uint64, empty)
	for i := range all {
		all[i] = map[uint16]uint64{}
	}
	return all
}

func unmade(all []map[uint16]uint64) []map[uint16]uint64 {
	clear(all)
	return all
}

func slices(all []map[uint32]uint64) [][]pair {
	found := make([][]pair, len(all))
	for i, m := range all {
		found[i] = make([]pair, 0, len(m))
		for k, v := range m {
			found[i] = append(found[i], pair{k, v})
		}
	}
	return found
}

func again() map[int]string {
	m := make(map[int]string, 4000)
	for i := 0; i < 4000; i++ {
		m[i] = fmt.Sprintf("a common value, number %d", i%8) // 24 bytes
	}
	return m
}

func interned(m map[int]string) map[int]string {
	seen := map[string]string{}
	for k, v := range m {
		if one, ok := seen[v]; ok {
			m[k] = one
		} else {
			seen[v] = v
		}
	}
	return m
}

func numbered(n int) map[string]int {
	m := make(map[string]int, n)
	for i := 0; i < n; i++ {
		m[fmt.Sprintf("the key of a record, number %04d.", i)] = i // 32 bytes and more
	}
	return m
}

func both() [2]map[string]int { return [2]map[string]int{numbered(1000), numbered(1000)} }

func one(m [2]map[string]int) [2]map[string]int {
	again := make(map[string]int, 1000)
	for k := range m[0] {
		again[k] = m[1][k]
	}
	m[1] = again
	return m
}

func pinned() map[string]int {
	m := make(map[string]int, loose)
	for i := 0; i < 200; i++ {
		big := strings.Clone(fmt.Sprintf("%024d", i) + strings.Repeat("x", 4096-24))
		m[big[:24]] = i
	}
	return m
}

func unpinned(m map[string]int) map[string]int {
	found := make(map[string]int, loose)
	for k, v := range m {
		found[strings.Clone(k)] = v
	}
	return found
}

func pinnedSlices() map[int][]byte {
	m := make(map[int][]byte, 500)
	for i := 0; i < 500; i++ {
		m[i] = make([]byte, 1024)[100:132]
	}
	return m
}

func unpinnedSlices(m map[int][]byte) map[int][]byte {
	for k, v := range m {
		own := make([]byte, len(v))
		copy(own, v)
		m[k] = own
	}
	return m
}

func pointers() map[int]*point {
	m := make(map[int]*point, spread)
	for i := 0; i < spread; i++ {
		m[i] = &point{int64(i), 1}
	}
	return m
}

func values(m map[int]*point) map[int]point {
	found := make(map[int]point, spread)
	for k, v := range m {
		found[k] = *v
	}
	return found
}

func shared() map[int]*point {
	m, both := make(map[int]*point, spread), &point{}
	for i := 0; i < spread; i++ {
		m[i] = &point{int64(i), 1}
	}
	m[0], m[1] = both, both
	return m
}

func stringKeys() map[string]int {
	m := make(map[string]int, spread)
	for i := 0; i < spread; i++ {
		m[fmt.Sprintf("%016x", i)] = i
	}
	return m
}

func arrayKeys(m map[string]int) map[[16]byte]int {
	found := make(map[[16]byte]int, spread)
	for k, v := range m {
		found[[16]byte([]byte(k))] = v
	}
	return found
}

func rebuilt(m map[int]int) map[int]int {
	found := make(map[int]int, len(m))
	for k, v := range m {
		found[k] = v
	}
	return found
}

func main() {
	truth.Stages("made")
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(1)
	for i := 0; i < spread; i++ {
		keys = append(keys, fmt.Sprintf("key %d", i))
	}
	k := &Keep
	measured := map[string]map[string]int64{}
	note := func(expr, kind string, bytes int64) {
		measured[expr] = map[string]int64{kind: bytes}
	}
	note("main.Keep.Deleted", "rebuild", saves(deleted, rebuilt))
	grown := allocates(func() map[int]int { return ints(map[int]int{}, many) })
	presized := allocates(func() map[int]int { return ints(make(map[int]int, many), many) })
	note("main.Keep.Grown", "presize", grown-presized)
	note("main.Keep.True", "set", saves(allTrue, set[bool]))
	note("main.Keep.Wide", "set", saves(wides, set[wide]))
	note("main.Keep.Tiny", "tiny-maps", saves(tinies, slices))
	note("main.Keep.Empty", "empty-maps", saves(empties, unmade))
	note("main.Keep.Again", "duplicate-strings", saves(again, interned))
	note("main.Keep.First", "duplicate-strings", saves(both, one))
	note("main.Keep.Pinned", "pinned", saves(pinned, unpinned))
	note("main.Keep.Slices", "pinned", saves(pinnedSlices, unpinnedSlices))
	note("main.Keep.Inline", "values-inline", saves(pointers, values))
	note("main.Keep.Arrays", "array-keys", saves(stringKeys, arrayKeys))
	k.Deleted, k.Grown = deleted(), ints(map[int]int{}, many)
	k.Presized, k.Few = ints(make(map[int]int, many), many), ints(map[int]int{}, 5)
	k.True, k.OneFalse, k.Wide = allTrue(), oneFalse(), wides()
	k.Tiny, k.Empty, k.Again = tinies(), empties(), again()
	two := both()
	k.First, k.Second = two[0], two[1]
	k.Pinned, k.Slices = pinned(), pinnedSlices()
	k.Inline, k.Shared, k.Arrays = pointers(), shared(), stringKeys()
	stats()
	truth.Note("saves", measured)
	truth.Publish("made",
		truth.Of("main.Keep.Deleted", k.Deleted),
		truth.Of("main.Keep.Grown", k.Grown),
		truth.Of("main.Keep.Presized", k.Presized),
		truth.Of("main.Keep.Few", k.Few),
		truth.Of("main.Keep.True", k.True),
		truth.Of("main.Keep.OneFalse", k.OneFalse),
		truth.Of("main.Keep.Wide", k.Wide),
		truth.Of("main.Keep.Again", k.Again),
		truth.Of("main.Keep.First", k.First),
		truth.Of("main.Keep.Second", k.Second),
		truth.Of("main.Keep.Pinned", k.Pinned),
		truth.Of("main.Keep.Slices", k.Slices),
		truth.Of("main.Keep.Inline", k.Inline),
		truth.Of("main.Keep.Shared", k.Shared),
		truth.Of("main.Keep.Arrays", k.Arrays),
	)
	stats() // what publishing leaves behind goes
	stop("made")
	truth.Check(len(k.Grown) == many && len(k.Tiny) == tiny, "the maps")
	truth.Done()
}
