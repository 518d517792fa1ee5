// Command growth stops at every stage of a map's growth, which differs with the
// layout. Both maps are brought to the same stage: ints (no pointers in its
// buckets: an evacuated old bucket keeps its overflow chain) and words (with
// pointers: it loses the chain).
//
// Stages of classic maps (runtime.hmap grows a few buckets a write):
//
//	before                 full to the load limit, the next insert grows
//	doubling-started       the insert that starts the growth is done
//	doubling-quarter, doubling-half, doubling-nearly   so much is evacuated
//	doubling-done          old array gone
//	same-size-started, same-size-half, same-size-nearly, same-size-done
//	                       growth to the same size, for too many overflow buckets
//	ranged                 half a doubling over maps ranged over before and during
//	                       it: iterator and old-iterator flags
//
// Stages of Swiss maps (a table grows or splits at once):
//
//	small-full             one group, 8 entries
//	first-table            9 entries, one table of 16
//	table-grown            one table of 512
//	before-split           one table of 1024, no growth left: the next insert splits
//	split                  directory of 2
//	shared                 some table has several directory entries
//	many                   16 tables or more
//
// Except at "ranged", the truth comes from looking keys up, so that ranging
// leaves no flags behind.
package main

import (
	"fmt"
	"runtime"

	"gomap.test/targets/truth"
)

// grown is a map on its way, with the keys it may hold.
type grown[K comparable] struct {
	M    map[K]int
	key  func(int) K
	keys []K // inserted, oldest first; keys[deleted:] are in M
	gone int
}

func (g *grown[K]) insert() {
	k := g.key(len(g.keys))
	g.M[k] = len(g.keys)
	g.keys = append(g.keys, k)
}

func (g *grown[K]) deleteOldest() {
	delete(g.M, g.keys[g.gone])
	g.gone++
}

// until works on the map until its memory is as wanted, and fails loudly if that
// never comes.
func (g *grown[K]) until(what string, wanted func(truth.Facts) bool, work func()) {
	for i := 0; !wanted(truth.Look(g.M)); i++ {
		if i == 200000 {
			panic("never reached: " + what)
		}
		work()
	}
}

// Keep holds the maps for builds in which the locals are gone.
var Keep struct {
	Ints  map[int]int
	Words map[string]int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func newInts() *grown[int] {
	return &grown[int]{M: map[int]int{}, key: func(i int) int { return i * 7 }}
}

func newWords() *grown[string] {
	return &grown[string]{M: map[string]int{}, key: func(i int) string { return fmt.Sprint("word ", i) }}
}

func main() {
	if truth.Swiss {
		swiss()
	} else {
		classic()
	}
	truth.Done()
}

//go:noinline
func classic() {
	truth.Stages("before", "doubling-started", "doubling-quarter", "doubling-half", "doubling-nearly", "doubling-done",
		"same-size-started", "same-size-half", "same-size-nearly", "same-size-done", "ranged")
	i, w := newInts(), newWords()
	ints, words := i.M, w.M
	Keep.Ints, Keep.Words = ints, words
	show := func(stage string) {
		truth.Publish(stage,
			truth.Looked("ints", ints, i.keys), truth.Looked("main.Keep.Ints", ints, i.keys),
			truth.Looked("words", words, w.keys), truth.Looked("main.Keep.Words", words, w.keys))
	}
	reach := func(stage string, wanted func(truth.Facts) bool) {
		i.until(stage, wanted, i.insert)
		w.until(stage, wanted, w.insert)
		show(stage)
	}

	const old = 128 // buckets before the doubling
	reach("before", func(f truth.Facts) bool {
		return f.Buckets.Count == old && f.Growth.State == "none" && f.Count == truth.LoadLimit(old)
	})
	stop("before")
	reach("doubling-started", func(f truth.Facts) bool { return doubling(f, old) && f.Growth.Evacuated > 0 })
	stop("doubling-started")
	reach("doubling-quarter", func(f truth.Facts) bool { return doubling(f, old) && f.Growth.Evacuated >= old/4 })
	stop("doubling-quarter")
	reach("doubling-half", func(f truth.Facts) bool { return doubling(f, old) && f.Growth.Evacuated >= old/2 })
	stop("doubling-half")
	reach("doubling-nearly", func(f truth.Facts) bool { return doubling(f, old) && f.Growth.Evacuated >= old*7/8 })
	stop("doubling-nearly")
	reach("doubling-done", func(f truth.Facts) bool { return f.Growth.State == "none" && f.Buckets.Count == 2*old })
	stop("doubling-done")

	// A window of keys slides over the maps, always just under the load limit:
	// now one bucket, now another overflows, and no overflow bucket is ever freed.
	full := truth.LoadLimit(2 * old)
	for len(ints) < full {
		i.insert()
	}
	for len(words) < full {
		w.insert()
	}
	reach = func(stage string, wanted func(truth.Facts) bool) {
		i.until(stage, wanted, func() { i.deleteOldest(); i.insert() })
		w.until(stage, wanted, func() { w.deleteOldest(); w.insert() })
		show(stage)
	}
	reach("same-size-started", func(f truth.Facts) bool { return sameSize(f, 2*old) && f.Growth.Evacuated > 0 })
	stop("same-size-started")
	reach("same-size-half", func(f truth.Facts) bool { return sameSize(f, 2*old) && f.Growth.Evacuated >= old })
	stop("same-size-half")
	reach("same-size-nearly", func(f truth.Facts) bool { return sameSize(f, 2*old) && f.Growth.Evacuated >= 2*old*7/8 })
	stop("same-size-nearly")
	reach("same-size-done", func(f truth.Facts) bool { return f.Growth.State == "none" && f.Buckets.Count == 2*old })
	stop("same-size-done")

	i, w = newInts(), newWords()
	ints, words = i.M, w.M
	Keep.Ints, Keep.Words = ints, words
	const small = 32
	for n := 0; n < truth.LoadLimit(small); n++ {
		i.insert()
		w.insert()
	}
	for range ints {
		break
	}
	for range words {
		break
	}
	half := func(f truth.Facts) bool { return doubling(f, small) && f.Growth.Evacuated >= small/2 }
	i.until("ranged", half, i.insert)
	w.until("ranged", half, w.insert)
	truth.Publish("ranged", truth.Of("ints", ints), truth.Of("main.Keep.Ints", ints),
		truth.Of("words", words), truth.Of("main.Keep.Words", words))
	flags := fmt.Sprint(truth.Look(ints).Flags, truth.Look(words).Flags)
	truth.Check(flags == "[iterator old-iterator] [iterator old-iterator]", flags)
	stop("ranged")
	i.verify()
	w.verify()
	runtime.KeepAlive([]any{ints, words})
}

func doubling(f truth.Facts, old int) bool {
	return f.Growth.State == "doubling" && f.Growth.OldBuckets == old
}

func sameSize(f truth.Facts, old int) bool {
	return f.Growth.State == "same-size" && f.Growth.OldBuckets == old
}

//go:noinline
func swiss() {
	truth.Stages("small-full", "first-table", "table-grown", "before-split", "split", "shared", "many")
	i, w := newInts(), newWords()
	ints, words := i.M, w.M
	Keep.Ints, Keep.Words = ints, words
	reach := func(stage string, wanted func(truth.Facts) bool) {
		i.until(stage, wanted, i.insert)
		w.until(stage, wanted, w.insert)
		truth.Publish(stage,
			truth.Looked("ints", ints, i.keys), truth.Looked("main.Keep.Ints", ints, i.keys),
			truth.Looked("words", words, w.keys), truth.Looked("main.Keep.Words", words, w.keys))
	}
	oneTable := func(f truth.Facts, capacity int) bool {
		return f.Swiss.Tables == 1 && f.Tables[0].Capacity == capacity
	}
	reach("small-full", func(f truth.Facts) bool { return f.Swiss.Small && f.Count == 8 })
	stop("small-full")
	reach("first-table", func(f truth.Facts) bool { return oneTable(f, 16) && f.Count == 9 })
	stop("first-table")
	reach("table-grown", func(f truth.Facts) bool { return oneTable(f, 512) })
	stop("table-grown")
	reach("before-split", func(f truth.Facts) bool { return oneTable(f, 1024) && f.Tables[0].GrowthLeft == 0 })
	stop("before-split")
	reach("split", func(f truth.Facts) bool { return f.Swiss.DirLen == 2 && f.Swiss.Tables == 2 })
	stop("split")
	reach("shared", func(f truth.Facts) bool { return f.Swiss.Tables > 2 && f.Swiss.Tables < f.Swiss.DirLen })
	stop("shared")
	reach("many", func(f truth.Facts) bool { return f.Swiss.Tables >= 16 })
	stop("many")
	i.verify()
	w.verify()
	runtime.KeepAlive([]any{ints, words})
}

// verify checks that what was inserted is still there.
func (g *grown[K]) verify() {
	for i, k := range g.keys[g.gone:] {
		truth.Check(g.M[k] == g.gone+i, fmt.Sprint("key ", k))
	}
	truth.Check(len(g.M) == len(g.keys)-g.gone, "the number of entries")
}
