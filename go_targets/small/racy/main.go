package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

var done, started, turns atomic.Int64

//go:noinline
func leaf(numbers []int) (sum int) {
	for i := range numbers {
		sum += numbers[i]
	}
	return sum
}

//go:noinline
func inner(m map[string]int, numbers []int) {
	started.Add(1)
	for done.Load() == 0 {
		turns.Add(int64(leaf(numbers)))
	}
	m["sum"] = leaf(numbers)
}

//go:noinline
func outer(m map[int]int) {
	inner(map[string]int{"a": 1}, make([]int, 10))
	m[2] = 2
}

func main() {
	for i := 0; i < 4; i++ {
		go outer(map[int]int{1: 1})
	}
	for started.Load() < 4 {
		time.Sleep(time.Millisecond)
	}
	for {
		time.Sleep(5 * time.Millisecond)
		runtime.Breakpoint()
	}
}
