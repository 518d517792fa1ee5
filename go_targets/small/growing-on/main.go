package main // Maps that grow on two goroutines; what it does seldom; words now and then. It ends after some minutes.

import (
	"fmt"
	"runtime"
	"time"
)

// Kept grows slowly and without end.
var Kept = map[int]int{}

// Idle is never written to.
var Idle = map[int]int{}

var others [64]map[string]int

//go:noinline
func seldom(n int) int { return n + 1 }

func fill() {
	for round := 0; ; round++ {
		m := map[string]int{}
		for i := 0; i < 100; i++ {
			m[fmt.Sprint(i)] = i
		}
		others[round%len(others)] = m
		time.Sleep(time.Millisecond)
	}
}

func main() {
	runtime.Breakpoint()
	runtime.KeepAlive(Idle)
	go fill()
	for i := 0; i < 200_000; i++ {
		for j := 0; j < 50; j++ {
			Kept[len(Kept)] = i
		}
		if i%50 == 49 {
			i = seldom(i) - 1
			fmt.Println("loud")
		}
		time.Sleep(time.Millisecond)
	}
}
