// Command overload fills maps to just before they grow, for either reason: too
// many entries, or too little room left by what was deleted.
//
// Stages:
//
//	at-limit   ints and words are at the load limit: the next new key makes them
//	           grow. Classic: 6.5 entries a bucket (6 in Go 1.21). Swiss: no growth left
//	littered   classic: as many overflow buckets as buckets, most of them sparse;
//	           Swiss: no growth left, much of it taken by tombstones. The next new
//	           key does something about it (same-size growth; pruning or a split)
//	grown      one new key each went into the maps of at-limit
//	swept      the new keys that it took went into the maps of littered
//
// The truth comes from looking keys up, so that ranging leaves no flags behind.
package main

import (
	"fmt"
	"runtime"

	"gomap.test/targets/truth"
)

// filling is a map with the keys it may hold; keys[gone:] are in it.
type filling[K comparable] struct {
	m    map[K]int
	key  func(int) K
	keys []K
	gone int
}

func (f *filling[K]) insert() {
	k := f.key(len(f.keys))
	f.m[k] = len(f.keys)
	f.keys = append(f.keys, k)
}

func (f *filling[K]) deleteOldest(n int) {
	for ; n > 0; n-- {
		delete(f.m, f.keys[f.gone])
		f.gone++
	}
}

func (f *filling[K]) until(what string, wanted func(truth.Facts) bool, work func()) {
	for i := 0; !wanted(truth.Look(f.m)); i++ {
		if i == 100000 {
			panic("never reached: " + what)
		}
		work()
	}
}

// fillToLimit makes the next new key grow the map.
func (f *filling[K]) fillToLimit() { f.until("at-limit", atLimit, f.insert) }

// litter leaves no room although few entries are live.
func (f *filling[K]) litter() {
	f.fillToLimit()
	if truth.Swiss {
		for i := 0; ; i++ {
			if facts := truth.Look(f.m); littered(facts) {
				return
			}
			if i == 100000 {
				panic("never reached: littered")
			}
			f.deleteOldest(100)
			for atLimit := false; !atLimit && len(f.m) < 896; {
				f.insert()
				atLimit = truth.Look(f.m).Tables[0].GrowthLeft == 0
			}
		}
	}
	// A window of keys slides over the map: now one bucket, now another
	// overflows, and no overflow bucket is ever freed.
	f.deleteOldest(1)
	f.until("littered", littered, func() { f.insert(); f.deleteOldest(1) })
	f.deleteOldest(len(f.m) * 3 / 4)
}

func atLimit(f truth.Facts) bool {
	if truth.Swiss {
		return len(f.Tables) == 1 && f.Tables[0].Capacity == 1024 && f.Tables[0].GrowthLeft == 0
	}
	return f.Growth.State == "none" && f.Buckets.Count == 128 && f.Count == truth.LoadLimit(128)
}

func littered(f truth.Facts) bool {
	if truth.Swiss {
		return len(f.Tables) == 1 && f.Tables[0].GrowthLeft == 0 && f.Tables[0].Tombstones >= 50
	}
	return f.Growth.State == "none" && f.Classic.Noverflow >= f.Buckets.Count
}

func newInts() *filling[int] {
	return &filling[int]{m: map[int]int{}, key: func(i int) int { return i }}
}

func newWords() *filling[string] {
	return &filling[string]{m: map[string]int{}, key: func(i int) string { return fmt.Sprint("word ", i) }}
}

// Keep holds what main's locals hold, for builds in which they are gone.
var Keep struct {
	Ints, LitteredInts   map[int]int
	Words, LitteredWords map[string]int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("at-limit", "littered", "grown", "swept")
	i, w, li, lw := newInts(), newWords(), newInts(), newWords()
	ints, words, litteredInts, litteredWords := i.m, w.m, li.m, lw.m
	Keep.Ints, Keep.Words, Keep.LitteredInts, Keep.LitteredWords = ints, words, litteredInts, litteredWords
	publish := func(stage string) {
		truth.Publish(stage,
			truth.Looked("ints", ints, i.keys), truth.Looked("main.Keep.Ints", ints, i.keys),
			truth.Looked("words", words, w.keys), truth.Looked("main.Keep.Words", words, w.keys),
			truth.Looked("litteredInts", litteredInts, li.keys), truth.Looked("main.Keep.LitteredInts", litteredInts, li.keys),
			truth.Looked("litteredWords", litteredWords, lw.keys), truth.Looked("main.Keep.LitteredWords", litteredWords, lw.keys))
	}

	i.fillToLimit()
	w.fillToLimit()
	publish("at-limit")
	stop("at-limit")

	li.litter()
	lw.litter()
	truth.Check(littered(truth.Look(litteredInts)) && littered(truth.Look(litteredWords)), "littered maps")
	publish("littered")
	stop("littered")

	i.insert()
	w.insert()
	truth.Check(!atLimit(truth.Look(ints)) && !atLimit(truth.Look(words)), "maps that grew")
	publish("grown")
	stop("grown")

	// A Swiss table may find a tombstone to reuse for the first new keys.
	swept := func(f truth.Facts) bool { return !littered(f) }
	li.until("swept", swept, li.insert)
	lw.until("swept", swept, lw.insert)
	publish("swept")
	stop("swept")

	last := len(i.keys) - 1
	truth.Check(ints[last] == last && len(words) == len(w.keys) &&
		len(litteredInts) == len(li.keys)-li.gone && len(litteredWords) == len(lw.keys)-lw.gone, "the maps")
	runtime.KeepAlive([]any{ints, words, litteredInts, litteredWords})
	truth.Done()
}
