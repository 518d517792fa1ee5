package main // One goroutine stops, and one goes on.

import (
	"runtime"
	"time"
)

var Kept, Written = map[int]int{1: 1}, map[int]int{}

func init() {
	runtime.LockOSThread() // main stays on the thread that gdb has selected
}

//go:noinline
func stop() {}

func main() {
	go func() {
		for i := 0; ; i++ {
			Written[i%1000] = i
		}
	}()
	for len(Written) < 1000 {
		time.Sleep(time.Millisecond)
	}
	stop()
}
