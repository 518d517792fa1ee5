// Command iterate has goroutines in the middle of loops over a map, and others
// that have left such loops.
//
// Stage "all": goroutines wait in the body of a range loop, of two loops within
// each other, behind reflect.MapIter.Next and, from Go 1.23 on, in a loop over
// maps.All and between two values of iter.Pull. Others wait after a loop that they
// left by break, after one that came to its end, and have the map without ever
// having ranged over it.
//
// Published as unnamed maps:
//
//	loop GOID FUNCTION MEMORY KEY  an iteration that has got as far as KEY
//	none GOID FUNCTION             a goroutine without one
package main

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"gomap.test/targets/truth"
)

var (
	// Small and Large are iterated over; Large has more than one bucket or group.
	// Grown grows during its iteration.
	Small, Large, Grown map[string]int

	guard   sync.Mutex
	told    []func()
	maps_   []truth.Map
	waiting sync.WaitGroup
	never   = make(chan bool)
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// tell publishes m under expr, at the end: until then loops are under way.
func tell(expr string, m map[string]int) {
	guard.Lock()
	told = append(told, func() { maps_ = append(maps_, truth.Of(expr, m).Unnamed()) })
	guard.Unlock()
}

// stands tells that the caller's loop over m has come to key.
//
//go:noinline
func stands(m map[string]int, memory, key string) {
	pc, _, _, _ := runtime.Caller(1)
	// The body of a loop over a function is a function, main.all-range1.
	function, _, _ := strings.Cut(runtime.FuncForPC(pc).Name(), "-range")
	tell(fmt.Sprintf("loop %d %s %s %s", truth.Goid(), function, memory, key), m)
}

// waits tells nothing.
//
//go:noinline
func waits() {
	waiting.Done()
	<-never
}

//go:noinline
func without(function string, m map[string]int) {
	tell(fmt.Sprintf("none %d main.%s", truth.Goid(), function), m)
	waits()
}

//go:noinline
func ranging(m map[string]int, after int) {
	seen := 0
	for key := range m {
		if seen++; seen == after {
			stands(m, "stack", key)
			waits()
		}
	}
}

// nested has two iterators over m.
//
//go:noinline
func nested(m map[string]int) {
	for outer := range m {
		for inner := range m {
			if inner != outer {
				stands(m, "stack", outer)
				stands(m, "stack", inner)
				waits()
			}
		}
	}
}

// growing makes m grow in the middle of its loop.
//
//go:noinline
func growing(m map[string]int) {
	first := true
	for key := range m {
		if !first {
			stands(m, "stack", key)
			waits()
		}
		for i := 0; first && i < 100; i++ {
			m["grown"+strconv.Itoa(i)] = i
		}
		first = false
	}
}

//go:noinline
func reflected(m map[string]int, kept **reflect.MapIter) {
	iterator := reflect.ValueOf(m).MapRange()
	*kept = iterator // so that it lies on the heap
	iterator.Next()
	iterator.Next()
	stands(m, "heap", iterator.Key().String())
	waits()
	runtime.KeepAlive(iterator)
}

//go:noinline
func left(m map[string]int) {
	for range m {
		break
	}
	without("left", m)
	runtime.KeepAlive(m)
}

//go:noinline
func ended(m map[string]int) {
	n := 0
	for range m {
		n++
	}
	without("ended", m)
	runtime.KeepAlive(m)
}

//go:noinline
func holding(m map[string]int) {
	var boxed any = m
	value := reflect.ValueOf(m)
	without("holding", m)
	runtime.KeepAlive(boxed)
	runtime.KeepAlive(value)
}

var kept [2]*reflect.MapIter

func main() {
	truth.Stages("all")
	Small, Large, Grown = make(map[string]int), make(map[string]int), make(map[string]int)
	for i := 0; i < 5; i++ {
		Small["small"+strconv.Itoa(i)] = i
		Grown["first"+strconv.Itoa(i)] = i
	}
	for i := 0; i < 2000; i++ {
		Large["large"+strconv.Itoa(i)] = i
	}
	loops := []func(){
		func() { ranging(Small, 1) },
		func() { ranging(Small, 3) },
		func() { ranging(Large, 1) },
		func() { ranging(Large, 1500) },
		func() { growing(Grown) },
		func() { nested(Small) },
		func() { nested(Large) },
		func() { reflected(Small, &kept[0]) },
		func() { reflected(Large, &kept[1]) },
		func() { left(Small) },
		func() { left(Large) },
		func() { ended(Small) },
		func() { ended(Large) },
		func() { holding(Small) },
		func() { holding(Large) },
	}
	loops = append(loops, newer()...)
	waiting.Add(len(loops))
	for _, loop := range loops {
		go loop()
	}
	waiting.Wait()
	truth.Parked(0)
	for _, one := range told {
		one()
	}
	truth.Publish("all", append(maps_, truth.Of("main.Small", Small), truth.Of("main.Large", Large),
		truth.Of("main.Grown", Grown))...)
	stop("all")
	truth.Done()
}
