// Command large holds one map[int]int of GOMAP_N entries (1,000,000 unless set),
// for measurements. The truth has its structure, and no entries beyond 2000.
//
// Stages: filled.
package main

import (
	"os"
	"runtime"
	"strconv"

	"gomap.test/targets/truth"
)

// Keep holds what main's m holds, for builds in which m is gone.
var Keep struct{ M map[int]int }

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("filled")
	n := 1000000
	if s := os.Getenv("GOMAP_N"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		truth.Check(err == nil && n >= 0, "GOMAP_N")
	}
	m := map[int]int{}
	for i := 0; i < n; i++ {
		m[i] = -i
	}
	Keep.M = m
	truth.Publish("filled", truth.Of("m", m), truth.Of("main.Keep.M", m))
	stop("filled")
	truth.Check(len(m) == n && m[n/2] == -(n/2), "the map")
	truth.Done()
}
