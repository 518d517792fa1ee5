// Command random does to a dozen maps whatever the seed in GOMAP_SEED (1 unless
// set) makes it do: inserts, deletes, clears, rewrites, and ranging over some.
//
// Stages: step1 to step6.
//
// The same seed gives the same operations. The hash seeds still differ from run to
// run, and so do the shapes of the maps.
package main

import (
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"strconv"

	"gomap.test/targets/truth"
)

type Point struct{ X, Y int16 }

// Maps holds them all.
var Maps struct {
	Ints    map[int]int
	Words   map[string]string
	Flags   map[int8]int64
	Points  map[Point]float32
	Floats  map[float64]bool
	Any     map[any]any
	Wide    map[[17]uint64]int
	Heavy   map[uint32][129]byte
	Set     map[string]struct{}
	Nested  map[int]map[string]int
	Slices  map[uint16][]int
	Pointed map[*int]*Point
}

// actor changes one of the maps, and describes it for publication.
type actor struct {
	act  func()
	show func() truth.Map
}

var random *rand.Rand

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	stages := []string{"step1", "step2", "step3", "step4", "step5", "step6"}
	truth.Stages(stages...)
	seed := int64(1)
	if s := os.Getenv("GOMAP_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseInt(s, 10, 64)
		truth.Check(err == nil, "GOMAP_SEED")
	}
	random = rand.New(rand.NewSource(seed))
	var numbers [500]int
	m := &Maps
	actors := []actor{
		on("main.Maps.Ints", &m.Ints, 1800, func(n int) (int, int) { return n, n * n }),
		on("main.Maps.Words", &m.Words, 1200, func(n int) (string, string) { return fmt.Sprint("w", n), fmt.Sprint(n) }),
		on("main.Maps.Flags", &m.Flags, 200, func(n int) (int8, int64) { return int8(n), int64(n) << 33 }),
		on("main.Maps.Points", &m.Points, 900, func(n int) (Point, float32) { return Point{int16(n), -1}, float32(n) / 3 }),
		on("main.Maps.Floats", &m.Floats, 300, func(n int) (float64, bool) {
			if n%7 == 0 {
				return math.NaN(), true
			}
			return float64(n) / 10, false
		}),
		on("main.Maps.Any", &m.Any, 60, func(n int) (any, any) {
			return []any{n, fmt.Sprint(n), Point{int16(n), 1}, float64(n)}[n%4], []any{nil, n, "s", []int{n}}[n%4]
		}),
		on("main.Maps.Wide", &m.Wide, 120, func(n int) ([17]uint64, int) { return [17]uint64{16: uint64(n)}, n }),
		on("main.Maps.Heavy", &m.Heavy, 60, func(n int) (uint32, [129]byte) { return uint32(n), [129]byte{byte(n)} }),
		on("main.Maps.Set", &m.Set, 40, func(n int) (string, struct{}) { return fmt.Sprint("s", n), struct{}{} }),
		on("main.Maps.Nested", &m.Nested, 9, func(n int) (int, map[string]int) { return n, map[string]int{"n": n, "m": -n} }),
		on("main.Maps.Slices", &m.Slices, 8, func(n int) (uint16, []int) { return uint16(n), make([]int, n%5) }),
		on("main.Maps.Pointed", &m.Pointed, 500, func(n int) (*int, *Point) { return &numbers[n], &Point{Y: int16(n)} }),
	}
	for _, stage := range stages {
		var shown []truth.Map
		for _, a := range actors {
			a.act()
		}
		for _, a := range actors {
			shown = append(shown, a.show())
		}
		truth.Publish(stage, shown...)
		before := sums()
		stop(stage)
		truth.Check(sums() == before, "the maps after the stop")
	}
	truth.Done()
}

func sums() [4]uint64 {
	return [4]uint64{truth.Checksum(Maps.Ints), truth.Checksum(Maps.Words), truth.Checksum(Maps.Any), truth.Checksum(Maps.Wide)}
}

// on acts on the map at m, whose keys come from entry(0) to entry(limit-1).
func on[K comparable, V any](expr string, m *map[K]V, limit int, entry func(int) (K, V)) actor {
	var keys []K // every key that may be in the map, once
	seen := map[K]bool{}
	comparable := true
	insert := func() {
		k, v := entry(random.Intn(limit))
		if k != k {
			comparable = false // a NaN: found by ranging only
		}
		if *m == nil {
			*m = map[K]V{}
		}
		(*m)[k] = v
		if !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	act := func() {
		switch random.Intn(10) {
		case 0:
			clear(*m)
		case 1:
			*m = make(map[K]V, random.Intn(limit))
		case 2:
			*m = nil
			return
		}
		inserts := random.Intn(limit * 2)
		deletes := random.Intn(3)
		for i := 0; i < inserts; i++ {
			insert()
			for d := 0; d < deletes && random.Intn(2) == 0; d++ {
				k, _ := entry(random.Intn(limit))
				delete(*m, k)
			}
		}
	}
	show := func() truth.Map {
		if comparable && random.Intn(2) == 0 {
			return truth.Looked(expr, *m, keys)
		}
		return truth.Of(expr, *m)
	}
	return actor{act, show}
}
