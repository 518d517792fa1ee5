package main // A program that writes to a map for as long as it is let, and counts what it did.

import (
	"fmt"
	"os"
	"time"
)

var (
	Still = map[string]int{}
	Busy  = map[int]int{}
	Done  int
)

func main() {
	for i := 0; i < 1000; i++ {
		Still[fmt.Sprint("key ", i)] = i
	}
	fmt.Println("ready")
	for {
		Busy[Done%5000] = Done
		Done++
		if Done%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
		if os.Getppid() == 1 {
			return
		}
	}
}
