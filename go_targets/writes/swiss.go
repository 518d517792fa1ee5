//go:build go1.26 || goexperiment.swissmap

package main

import (
	"fmt"
	"maps"
	"reflect"
	"unsafe"

	"gomap.test/targets/truth"
)

// filler puts keys into a map whose hashes begin with the bits that are wanted.
type filler struct {
	m    map[int]int
	next int
}

func (f *filler) key(wanted func(top uint64) bool) int {
	hash := truth.Hasher(reflect.TypeOf(f.m))
	for {
		f.next++
		k := f.next
		if wanted(uint64(hash(unsafe.Pointer(&k), uintptr(truth.Look(f.m).Swiss.Seed))) >> 61) {
			return k
		}
	}
}

func (f *filler) until(top func(uint64) bool, done func(truth.Facts) bool) {
	for !done(truth.Look(f.m)) {
		f.m[f.key(top)] = 1
	}
}

func every(uint64) bool    { return true }
func first(t uint64) bool  { return t == 0 }
func lower(t uint64) bool  { return t < 4 }
func lowest(t uint64) bool { return t < 2 }
func upper(t uint64) bool  { return t >= 4 }

func entries(n int) func(truth.Facts) bool {
	return func(f truth.Facts) bool { return f.Swiss.DirLen >= n }
}

// full is a map that has a table without room for another entry, which n entries of the directory name.
func full(n int) func(truth.Facts) bool {
	return func(f truth.Facts) bool {
		for _, t := range f.Tables {
			if t.DirectoryEntries == n && t.GrowthLeft == 0 {
				return true
			}
		}
		return false
	}
}

// layout has the writes that only these maps have.
func layout() {
	for _, n := range []int{14, 28} {
		Words = words(n)
		step("main.Words", fmt.Sprint("insert that grows a table of ", n), func() { Words["one more"] = 1 })
	}
	// Deletes from full groups leave tombstones, inserts take them.
	Words = words(14)
	for i := 0; i < 6; i++ {
		i := i
		step("main.Words", fmt.Sprint("delete from a full table ", i), func() { delete(Words, word(i)) })
	}
	for i := 20; i < 24; i++ {
		i := i
		step("main.Words", fmt.Sprint("insert over tombstones ", i), func() { Words[word(i)] = i })
	}
	if Ints = map[int]int{0: 0}; truth.Look(Ints).Swiss.TombstonePossible != nil { // from Go 1.25 on
		k := prunable()
		step("main.Ints", "insert that prunes tombstones", func() { Ints[k] = 1 })
	}
	Ints = make(map[int]int, 897) // two tables
	for i := 0; i < 5; i++ {
		Ints[i] = i
	}
	step("main.Ints", "clear of two tables", func() { clear(Ints) })
	f := &filler{m: map[int]int{}}
	f.until(every, full(1))
	for truth.Look(f.m).Tables[0].Capacity < 1024 {
		f.m[f.key(every)] = 1
		f.until(every, full(1))
	}
	Ints = f.m
	grow(f, "splits a table and doubles the directory", every)
	f = &filler{m: map[int]int{}}
	f.until(every, entries(4))
	f.until(first, func(f truth.Facts) bool { return f.Tables[0].DirectoryEntries == 1 && f.Tables[0].GrowthLeft == 0 })
	grow(f, "splits a table and doubles a long directory", first)
	f = &filler{m: map[int]int{}}
	f.until(every, entries(2))
	f.until(lower, entries(4))
	f.until(upper, full(2))
	grow(f, "splits a table of two entries", upper)
	f = &filler{m: map[int]int{}}
	f.until(every, entries(2))
	f.until(lower, entries(4))
	f.until(lowest, entries(8))
	f.until(upper, full(4))
	grow(f, "splits a table of four entries", upper)
	f = &filler{m: make(map[int]int, 897)} // two tables of 512 slots
	f.until(lower, entries(4))
	f.until(upper, full(2))
	truth.Check(truth.Look(f.m).Tables[len(truth.Look(f.m).Tables)-1].Capacity == 512, "a table of 512 slots")
	grow(f, "grows a table of two entries", upper)
}

// prunable makes of Ints a map without room, but with tombstones that the insert of the key that is returned takes away.
func prunable() int {
	for try := 0; try < 1000; try++ {
		Ints = ints(28)
		for k := 0; k < 28 && truth.Look(Ints).Slots.Tombstones < 8; k++ {
			delete(Ints, k)
		}
		for k := 100; truth.Look(Ints).Tables[0].GrowthLeft > 0; k++ {
			Ints[k] = k
		}
		for k := 500; k < 510; k++ {
			m := maps.Clone(Ints) // with its seed and its slots
			m[k] = 1
			if f := truth.Look(m); f.Slots.Total == 32 && f.Slots.Tombstones < truth.Look(Ints).Slots.Tombstones-1 {
				return k
			}
		}
	}
	panic("no insert prunes tombstones")
}

func grow(f *filler, what string, top func(uint64) bool) {
	Ints = f.m
	k := f.key(top)
	step("main.Ints", "insert that "+what, func() { Ints[k] = 1 })
}
