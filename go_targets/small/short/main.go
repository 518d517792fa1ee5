package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

type pair struct{ a, b int }

var turns atomic.Int64

//go:noinline
func slow() { turns.Store(0) }

// The addition takes longest, and what comes behind it is to give back the frame pointer.
//
//go:noinline
func short(n int) {
	if n < 0 {
		slow()
	}
	turns.Add(1)
}

//go:noinline
func spins(m map[int]int) {
	for m[1] != 0 {
		for i := 0; i < 1000000; i++ {
			short(i)
		}
	}
}

//go:noinline
func faults(p *pair) int { return p.b }

//go:noinline
func recovers(m map[string]int) (n int) {
	defer func() {
		recover()
		for i := 0; i < 100000000; i++ {
			short(i)
		}
	}()
	return faults(nil) + len(m)
}

func main() {
	runtime.GOMAXPROCS(1)
	for i := 0; i < 8; i++ {
		go spins(map[int]int{1: 1})
	}
	go func() {
		for m := map[string]int{"a": 1}; ; m["a"]++ {
			recovers(m)
		}
	}()
	time.Sleep(500 * time.Millisecond)
	for i := 0; ; i++ {
		time.Sleep(5 * time.Millisecond)
		stop(i)
	}
}

//go:noinline
func stop(int) {}
