package main // Maps on stacks that move while they grow.

import (
	"fmt"
	"runtime"
	"unsafe"
)

// Local is where the map of stacked lies when it stops.
var Local uintptr

// keys make a map grow four times: after 8, 14, 28 and 56 entries, or after 8, 13, 26 and 52 (up to Go 1.23; 8, 12, 24 and 48 in Go 1.21).
const keys = 90

//go:noinline
func fill() int {
	m := map[int]int{}
	for i := 0; i < keys; i++ {
		m[i] = i
	}
	return len(m)
}

// down fills a map on a stack that has ever less room: where a function has none left, it begins twice.
//
//go:noinline
func down(depth int) int {
	if depth == 0 {
		return fill()
	}
	return down(depth-1) + 1
}

//go:noinline
func room() byte {
	var room [32 << 10]byte
	use(&room)
	return room[len(room)-1]
}

//go:noinline
func use(room *[32 << 10]byte) { room[0] = room[len(room)-1] }

// stacked has a map in its own frame.
//
//go:noinline
func stacked() int {
	m := map[int]int{}
	m[0] = 0
	Local = *(*uintptr)(unsafe.Pointer(&m))
	runtime.Breakpoint()
	for i := 0; i < keys; i++ {
		m[i] = i
		if i == 20 {
			room()
		}
	}
	return len(m)
}

// twin is as stacked is, and so has another map where that one was.
//
//go:noinline
func twin() int {
	m := map[int]int{}
	m[0] = 0
	Local = *(*uintptr)(unsafe.Pointer(&m))
	for i := 0; i < keys; i++ {
		m[i] = i
	}
	return len(m)
}

func main() {
	runtime.Breakpoint()
	for depth := 0; depth < 300; depth++ {
		done, depth := make(chan int), depth
		go func() { done <- down(depth) }()
		<-done
	}
	runtime.Breakpoint()
	done := make(chan int)
	go func() { done <- stacked() + twin() }()
	fmt.Println(<-done)
	runtime.Breakpoint()
}
