//go:build !go1.26 && !goexperiment.swissmap

package main

import (
	"fmt"

	"gomap.test/targets/truth"
)

// until is a map that grows on to where it is as wanted, and the next key.
func until(wanted func(f truth.Facts) bool) (map[int]int, int) {
	for try := 0; try < 50; try++ {
		m := map[int]int{}
		for i := 0; i < 3000; i++ {
			if wanted(truth.Look(m)) {
				return m, i
			}
			m[i] = i
		}
	}
	panic("no map is as wanted")
}

func untilWords(wanted func(f truth.Facts) bool) (map[string]int, int) {
	for try := 0; try < 50; try++ {
		m := map[string]int{}
		for i := 0; i < 3000; i++ {
			if wanted(truth.Look(m)) {
				return m, i
			}
			m[word(i)] = i
		}
	}
	panic("no map is as wanted")
}

func growing(state string, evacuated int) func(f truth.Facts) bool {
	return func(f truth.Facts) bool {
		return f.Growth.State == state && f.Growth.Evacuated >= evacuated && f.Growth.OldBuckets >= 4
	}
}

// layout has the writes that only these maps have.
func layout() {
	var i int
	full := func(f truth.Facts) bool {
		return f.Growth.State == "none" && f.Buckets.Count == 4 && f.Count == truth.LoadLimit(4)
	}
	Ints, i = until(full)
	for n := 0; n < 4; n++ { // begins to grow, evacuates two buckets at a time, and ends
		i++
		step("main.Ints", fmt.Sprint("insert of a growth ", n), func() { Ints[i] = 1 })
	}
	Words, i = untilWords(full)
	for n := 0; n < 4; n++ {
		i++
		step("main.Words", fmt.Sprint("insert of a growth ", n), func() { Words[word(i)] = 1 })
	}
	Ints, _ = until(growing("doubling", 3))
	step("main.Ints", "delete during a growth", func() { delete(Ints, 5) })
	step("main.Ints", "clear during a growth", func() { clear(Ints) })
	Words, _ = untilWords(growing("doubling", 3))
	step("main.Words", "delete during a growth", func() { delete(Words, word(5)) })
	step("main.Words", "clear during a growth", func() { clear(Words) })
	Ints = sparse()
	for n := 0; n < 3; n++ {
		i++
		step("main.Ints", fmt.Sprint("insert of a growth to the same size ", n), func() { Ints[1000000+i] = 1 })
	}
	Ints, i = until(func(f truth.Facts) bool {
		return f.Buckets.Count == 16 && f.Growth.State == "none" && f.Count >= truth.LoadLimit(16)-20
	})
	for n := 0; n < 10; n++ { // some of them need an overflow bucket
		i++
		step("main.Ints", fmt.Sprint("insert into full buckets ", n), func() { Ints[i] = 1 })
	}
}

// sparse is a map that has too many overflow buckets for its entries: the next insert grows it to the same size.
func sparse() map[int]int {
	m := map[int]int{}
	for i := 0; i < 100; i++ {
		m[i] = i
	}
	for i := 100; ; i++ {
		f := truth.Look(m)
		if f.Growth.State == "none" && f.Classic.Noverflow >= f.Buckets.Count {
			return m
		}
		m[i] = i
		for j := range m {
			if len(m) > 90 && j != i {
				delete(m, j)
				break
			}
		}
		if i > 1000000 {
			panic("no map has too many overflow buckets")
		}
	}
}
