// Command memory measures how many bytes of heap its maps hold, by the heap's
// growth while each is made.
//
// Stages: measured.
package main

import (
	"runtime"
	"runtime/debug"

	"gomap.test/targets/truth"
)

type big [200]byte

// Keep holds the maps under the names that are published.
var Keep struct {
	Small, One, Grown, Presized, Littered, Deleted, Growing map[int]int
	Pointers                                                map[int]*int
	BigElems                                                map[int]big
	BigKeys                                                 map[big]struct{}
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// made fills what to points to, and says by how much that made the heap grow.
func made[M any](to *M, fill func() M) uint64 {
	before := truth.Heap()
	*to = fill()
	return truth.Heap() - before
}

func ints(m map[int]int, n int) map[int]int {
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

func main() {
	truth.Stages("measured")
	debug.SetGCPercent(-1)
	// With one processor the runtime has no reason to start another thread, or to wait for one, while a map is made:
	// what it allocates for that would be in the figure.
	runtime.GOMAXPROCS(1)
	truth.Heap()
	var number int
	k := &Keep
	small := made(&k.Small, func() map[int]int { return ints(map[int]int{}, 8) })
	one := made(&k.One, func() map[int]int { return ints(map[int]int{}, 13) })
	grown := made(&k.Grown, func() map[int]int { return ints(map[int]int{}, 300000) })
	// Room for more would leave one of the 256 tables of a Swiss map too small now and then, by chance: it would split.
	presized := made(&k.Presized, func() map[int]int { return ints(make(map[int]int, 160000), 160000) })
	littered := made(&k.Littered, func() map[int]int {
		m := map[int]int{}
		for i := 0; i < 200000; i++ {
			m[i] = i
			if i >= 20000 {
				delete(m, i-20000)
			}
		}
		return m
	})
	deleted := made(&k.Deleted, func() map[int]int {
		m := ints(map[int]int{}, 200000)
		for i := 0; i < 199990; i++ {
			delete(m, i)
		}
		return m
	})
	// A classic map of 13 entries for each two of its 2^14 buckets doubles with the next.
	growing := made(&k.Growing, func() map[int]int { return ints(map[int]int{}, 13<<13+1000) })
	pointers := made(&k.Pointers, func() map[int]*int {
		m := map[int]*int{}
		for i := 0; i < 100000; i++ {
			m[i] = &number
		}
		return m
	})
	bigElems := made(&k.BigElems, func() map[int]big {
		m := map[int]big{}
		for i := 0; i < 20000; i++ {
			m[i] = big{byte(i)}
		}
		return m
	})
	bigKeys := made(&k.BigKeys, func() map[big]struct{} {
		m := map[big]struct{}{}
		for i := 0; i < 20000; i++ {
			m[big{byte(i), byte(i >> 8)}] = struct{}{}
		}
		return m
	})
	truth.Publish("measured",
		truth.Of("main.Keep.Small", k.Small).Heap(small),
		truth.Of("main.Keep.One", k.One).Heap(one),
		truth.Of("main.Keep.Grown", k.Grown).Heap(grown),
		truth.Of("main.Keep.Presized", k.Presized).Heap(presized),
		truth.Of("main.Keep.Littered", k.Littered).Heap(littered),
		truth.Of("main.Keep.Deleted", k.Deleted).Heap(deleted),
		truth.Of("main.Keep.Growing", k.Growing).Heap(growing),
		truth.Of("main.Keep.Pointers", k.Pointers).Heap(pointers),
		truth.Of("main.Keep.BigElems", k.BigElems).Heap(bigElems),
		truth.Of("main.Keep.BigKeys", k.BigKeys).Heap(bigKeys),
	)
	stop("measured")
	truth.Check(len(k.Grown) == 300000 && len(k.BigKeys) == 20000, "the maps")
	truth.Done()
}
