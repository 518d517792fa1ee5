package main // It asks for the time, which is told on the system's stack, and writes now and then.

import (
	"os"
	"time"
)

//go:noinline
func writes(f *os.File, m map[string]int) {
	f.Write([]byte("x"))
	m["written"]++
}

//go:noinline
func asks(m map[int]int) {
	null, _ := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	for i := 0; m[1] != 0; i++ {
		if i%5000 == 0 {
			writes(null, map[string]int{"a": 1})
		}
		time.Now()
	}
}

func main() {
	go asks(map[int]int{1: 1})
	time.Sleep(50 * time.Millisecond)
	for i := 0; ; i++ {
		time.Sleep(2 * time.Millisecond)
		stop(i)
	}
}

//go:noinline
func stop(int) {}
