package main

import (
	"runtime"
	"sync/atomic"
)

type box struct {
	eight888 map[string]int
	n        int
}

var (
	sum    int
	parked atomic.Int32
	never  chan int
	reads  map[string]int
)

func of(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[string(rune('a'+i))] = i
	}
	return m
}

//go:noinline
func stop(a map[string]int) {
	sum += len(a)
}

//go:noinline
func waits(a map[string]int, n int) {
	if n > 0 {
		parked.Add(1)
		<-never
	}
	stop(a)
}

//go:noinline
func third(bb, a, ccc map[string]int, n int) int {
	waits(a, n)
	return len(bb)
}

//go:noinline
func alike(bb, a, ccc map[string]int, n int) int { return third(bb, a, ccc, n) + n }

//go:noinline
func parts(b box, list []map[string]int, v any, n int) int {
	return alike(list[1], list[0], list[2], n) + n
}

//go:noinline
func whole(b box, list []map[string]int, v any, n int) int { return parts(b, list, v, n) + n }

//go:noinline
func second(ccc, a, bb map[string]int, n int) int {
	return whole(box{of(8), n}, []map[string]int{a, bb, ccc}, box{of(8), n}, n) + len(ccc)
}

func between(bb, ccc, a map[string]int, n int) int { return second(ccc, a, bb, n) + 1 }

//go:noinline
func same(a, bb, ccc map[string]int, n int) int { return between(bb, ccc, a, n) + n }

//go:noinline
func first(a, bb, ccc map[string]int, n int) int { return same(a, bb, ccc, n) + n }

//go:noinline
func touches(ccc map[string]int, p *int) int {
	*p = 1
	return len(ccc)
}

//go:noinline
func faults(bb, ccc map[string]int, p *int) (n int) {
	defer func() { recover() }()
	return touches(ccc, p) + len(bb)
}

func main() {
	runtime.LockOSThread()
	a, bb, ccc := of(1), of(2), of(3)
	for i := 1; i <= 3; i++ {
		go first(of(1), of(2), of(3), i)
	}
	for parked.Load() < 3 {
		runtime.Gosched()
	}
	sum += first(a, bb, ccc, 0)
	sum += faults(bb, ccc, nil)
}
