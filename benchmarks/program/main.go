// Command program holds one large map for the benchmarks, and goroutines with a map of their own each.
//
// GOMAP_KIND: ints, strings or structs. GOMAP_N: entries. GOMAP_GOROUTINES: how many park, seven calls deep.
// With the argument "range" it prints how many nanoseconds ranging over the map takes, several times.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

type Point struct {
	X, Y int
	Name string
}

var Keep struct {
	Ints    map[int]int
	Strings map[string]string
	Structs map[string]Point
}

func number(name string, unset int) int {
	if s := os.Getenv(name); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			panic(name)
		}
		return n
	}
	return unset
}

func fill(kind string, n int) {
	switch kind {
	case "ints":
		Keep.Ints = map[int]int{}
		for i := 0; i < n; i++ {
			Keep.Ints[i] = -i
		}
	case "strings":
		Keep.Strings = map[string]string{}
		for i := 0; i < n; i++ {
			Keep.Strings[fmt.Sprintf("key %012d", i)] = strconv.Itoa(-i)
		}
	case "structs":
		Keep.Structs = map[string]Point{}
		for i := 0; i < n; i++ {
			Keep.Structs["key "+strconv.Itoa(i)] = Point{i, -i, "point"}
		}
	default:
		panic("GOMAP_KIND")
	}
}

var sum int

// measure ranges over the map, which leaves a mark in a classic map: nobody looks at it afterwards.
func measure() {
	for i := 0; i < 5; i++ {
		start := time.Now()
		for k, v := range Keep.Ints {
			sum += k ^ v
		}
		for k, v := range Keep.Strings {
			sum += len(k) ^ len(v)
		}
		for k, v := range Keep.Structs {
			sum += len(k) ^ v.X
		}
		fmt.Println(time.Since(start).Nanoseconds())
	}
}

// parked waits some calls deep, with the map in every frame.
//
//go:noinline
func parked(depth int, m map[int]int, ready *sync.WaitGroup, wait chan struct{}) {
	if depth > 1 {
		parked(depth-1, m, ready, wait)
	} else {
		ready.Done()
		<-wait
	}
	runtime.KeepAlive(m)
}

//go:noinline
func stop() {
	if os.Getenv("GOMAP_DELVE") == "" {
		runtime.Breakpoint()
	}
}

func main() {
	fill(os.Getenv("GOMAP_KIND"), number("GOMAP_N", 1000))
	if len(os.Args) > 1 && os.Args[1] == "range" {
		measure()
		return
	}
	var ready sync.WaitGroup
	wait := make(chan struct{})
	for i := number("GOMAP_GOROUTINES", 0); i > 0; i-- {
		ready.Add(1)
		go parked(7, map[int]int{i: i}, &ready, wait)
	}
	ready.Wait()
	stop()
	close(wait)
}
