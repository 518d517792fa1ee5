package main // A program that runs until it is stopped.

import "time"

var Counts = map[int]int{}

// Thing is an interface without methods, and its name does not tell.
type Thing interface{}

var Things = map[string]Thing{"one": 1}

func never() { println("never") }

func main() {
	println("running")
	for i := 0; ; i++ {
		Counts[i%100]++
		time.Sleep(100 * time.Microsecond)
		if len(Things) == 0 {
			never()
		}
	}
}
