// Command inlined is stopped where the newest frame is no call of its own, or is main.main's.
//
// Stage "inlined": three goroutines wait, each below functions that an optimised build inlines, and hold a map of
// their own. After the stage main.main and main.outer run through main.innermost, which an optimised build inlines into
// both: a breakpoint there, or on main.outer, finds the goroutines as they were published.
//
// What each goroutine holds is published as `goroutine ID FUNCTION VARIABLE`.
package main

import (
	"fmt"
	"runtime"
	"sync"

	"gomap.test/targets/truth"
)

// Sink keeps what is computed.
var Sink int

var (
	started sync.WaitGroup
	guard   sync.Mutex
	held    []truth.Map
	never   = make(chan int)
)

// holds notes that the calling goroutine's variable of that function has m.
//
//go:noinline
func holds(function, variable string, m map[string]int) {
	guard.Lock()
	held = append(held, truth.Of(fmt.Sprintf("goroutine %d main.%s %s", truth.Goid(), function, variable), m).Unnamed())
	guard.Unlock()
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

//go:noinline
func wait() { Sink += <-never }

func below(deepest map[string]int) {
	wait()
	deepest["below"] = 1
}

func between(deeper map[string]int) {
	below(deeper)
	deeper["between"] = 1
}

//go:noinline
func worker(mine map[string]int) {
	holds("worker", "mine", mine)
	holds("between", "deeper", mine)
	holds("below", "deepest", mine)
	started.Done()
	between(mine)
	mine["worker"] = 1
}

func innermost(i int) int {
	Sink += i
	return Sink ^ i
}

func inner(m map[string]int, i int) int { return innermost(i) + m["a"] }

func middle(m map[string]int, i int) int { return inner(m, i) + m["b"] }

//go:noinline
func outer(m map[string]int, own map[int]int) (sum int) {
	for i := 0; i < 3; i++ {
		sum += middle(m, i) + own[i]
	}
	return sum
}

func main() {
	truth.Stages("inlined")
	started.Add(3)
	for i := 1; i <= 3; i++ {
		go worker(map[string]int{"only": i})
	}
	started.Wait()
	truth.Parked(0)
	truth.Publish("inlined", held...)
	stop("inlined")
	Sink += innermost(len(held))
	m, own := map[string]int{"a": 1, "b": 2}, map[int]int{1: 1, 2: 2, 3: 3}
	Sink += outer(m, own)
	truth.Done()
}
