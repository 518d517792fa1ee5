package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

var there, done atomic.Bool

//go:noinline
func waits(n int) int {
	there.Store(true)
	for !done.Load() {
		n++
	}
	return n
}

//go:noinline
func inner(m map[string]int) { m["woken"] = waits(len(m)) }

//go:noinline
func outer(m map[int]int) {
	inner(map[string]int{"a": 1})
	m[2] = 2
}

func main() {
	runtime.GOMAXPROCS(1)
	go outer(map[int]int{1: 1})
	for !there.Load() {
		time.Sleep(time.Millisecond)
	}
	runtime.Breakpoint()
	runtime.GOMAXPROCS(2)
	time.Sleep(time.Hour)
}
