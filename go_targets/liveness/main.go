// Command liveness has maps that are alive, in every way that the compiler keeps a variable, and variables that are
// dead where their goroutines wait: the last use is behind them, or the declaration still ahead.
//
// Stage "waits": all goroutines but main.main's wait. What each needs is published as `goroutine ID FUNCTION VARIABLE`,
// and what functions need that it has deferred as `deferred ID NUMBER`. The note "dead" lists variables that are dead, in
// the same form: what such a variable pointed to has been collected, and other objects lie there. The note "kept" lists
// maps that something else than variables has, as `ID NUMBER ADDRESS`.
package main

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"gomap.test/targets/truth"
)

// Sink keeps what is computed.
var Sink int

var (
	started sync.WaitGroup
	guard   sync.Mutex
	held    []truth.Map
	dead    []string
	never   = make(chan int)
)

type table map[string]int

// large is a struct that the compiler does not take apart.
type large struct {
	padding [6]int
	m       table
	next    *large
}

func label(function, variable string) string {
	return fmt.Sprintf("goroutine %d main.%s %s", truth.Goid(), function, variable)
}

// holds notes that the calling goroutine's variable of that function has m.
//
//go:noinline
func holds(function, variable string, m table) {
	guard.Lock()
	held = append(held, truth.Of(label(function, variable), m).Unnamed())
	guard.Unlock()
}

// lost notes that the variable is dead where its goroutine waits.
//
//go:noinline
func lost(function string, variables ...string) {
	guard.Lock()
	for _, variable := range variables {
		dead = append(dead, label(function, variable))
	}
	guard.Unlock()
}

//go:noinline
func made(n int) table { return table{"only": n, strconv.Itoa(n): n} }

//go:noinline
func use(m table) { Sink += len(m) + m["only"] }

//go:noinline
func wait() {
	started.Done()
	Sink += <-never
}

// waits returns what a variable gets whose declaration calls it.
//
//go:noinline
func waits(n int) (table, *large, any, []table, error) {
	wait()
	return made(n), nil, nil, nil, nil
}

// dirty leaves garbage where the next function will have its frame: numbers, addresses of code and of objects that
// are something else.
//
//go:noinline
func dirty(n int) int {
	var frame [256]uintptr
	other := new([64]uintptr)
	for i := range frame {
		switch i % 4 {
		case 0:
			frame[i] = 8 * uintptr(i+n)
		case 1:
			frame[i] = **(**uintptr)(unsafe.Pointer(&code))
		case 2:
			frame[i] = uintptr(unsafe.Pointer(other))
		default:
			frame[i] = ^uintptr(i)
		}
	}
	for i := range other {
		other[i] = frame[i+n] ^ 5
	}
	kept = other
	return int(frame[n]) + int(other[n])
}

var (
	code = wait
	kept *[64]uintptr
)

// -- alive -------------------------------------------------------------------------------------------

//go:noinline
func argument(m table) {
	holds("argument", "m", m)
	wait()
	use(m)
}

//go:noinline
func local() {
	m := made(2)
	holds("local", "m", m)
	wait()
	use(m)
}

//go:noinline
func inStruct() {
	l := large{m: made(3)}
	l.next = &large{m: made(4)}
	holds("inStruct", "l.m", l.m)
	holds("inStruct", "l.next.m", l.next.m)
	wait()
	l.padding[1]++
	use(l.m)
	use(l.next.m)
}

// pointed waits in a function that has the only pointer to one of its variables.
//
//go:noinline
func pointed() {
	var l large
	l.m = made(5)
	holds("pointed", "l.m", l.m)
	through(&l)
}

//go:noinline
func through(p *large) {
	wait()
	use(p.m)
}

// chained has one that is pointed to by another that is pointed to.
//
//go:noinline
func chained() {
	var first, second large
	second.m = made(6)
	first.next = &second
	holds("chained", "second.m", second.m)
	link(&first)
}

//go:noinline
func link(p *large) {
	wait()
	use(p.next.m)
}

//go:noinline
func result() (m table) {
	defer func() { Sink += len(m) }()
	m = made(7)
	holds("result", "m", m)
	wait()
	return m
}

//go:noinline
func byReference() {
	m := made(8)
	grow := func() { m = made(9) }
	grow()
	holds("byReference", "m", m)
	wait()
	grow()
	use(m)
}

//go:noinline
func onHeap() {
	m := made(10)
	change := func() { m = made(11) }
	changes = append(changes, change)
	holds("onHeap", "m", m)
	wait()
	use(m)
}

var changes []func()

//go:noinline
func inInterface() {
	var v any = made(12)
	holds("inInterface", "v", v.(table))
	wait()
	use(v.(table))
}

//go:noinline
func inSlice() {
	all := []table{made(13), made(14)}
	holds("inSlice", "all[0]", all[0])
	holds("inSlice", "all[1]", all[1])
	wait()
	use(all[0])
	use(all[1])
}

//go:noinline
func inLoop() {
	for i := 0; i < 3; i++ {
		m := made(15 + i)
		if i == 1 {
			holds("inLoop", "m", m)
			wait()
		}
		use(m)
	}
}

//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k int, m table, l large) {
	holds("many", "m", m)
	holds("many", "l.m", l.m)
	wait()
	Sink += a + b + c + d + e + f + g + h + i + j + k
	use(m)
	use(l.m)
}

type thing struct{ m table }

//go:noinline
func (t thing) method(n int) {
	holds("thing.method", "t.m", t.m)
	wait()
	Sink += n
	use(t.m)
}

//go:noinline
func generic[T any](m map[string]T, n T) {
	holds("generic[...]", "m", any(m).(map[string]int))
	wait()
	m["only"] = n
}

// deferred has maps that only functions have which will run when it returns.
//
//go:noinline
func deferred() {
	m := made(20)
	defer func() { use(m) }()
	for i := 0; i < 2; i++ {
		in := made(21 + i)
		defer func() { use(in) }()
		caught(in)
	}
	caught(m)
	wait()
}

// caught notes that a function which is to run when the calling one returns has m.
//
//go:noinline
func caught(m table) {
	guard.Lock()
	held = append(held, truth.Of(fmt.Sprintf("deferred %d %d", truth.Goid(), m["only"]), m).Unnamed())
	guard.Unlock()
}

// -- alive elsewhere: the variables are dead, and something that is not a variable has what they hold. These are
// the note "kept": `ID NUMBER ADDRESS`.

//go:noinline
func keeps(m table) {
	guard.Lock()
	elsewhere = append(elsewhere, fmt.Sprintf("%d %d %#x", truth.Goid(), m["only"], truth.Of("", m).Header()))
	guard.Unlock()
}

var elsewhere []string

// byTimer has its large variable and its map in the function of a timer.
//
//go:noinline
func byTimer(n int) {
	l, m := &large{m: made(n)}, made(n+1)
	keeps(l.m)
	keeps(m)
	timers = append(timers, time.AfterFunc(time.Hour, func() {
		use(l.m)
		use(m)
	}))
	wait()
	Sink += n
}

var timers []any

// ranged has no other use for its map than the loop.
//
//go:noinline
func ranged(n int) {
	m := made(n)
	keeps(m)
	for key := range m {
		Sink += len(key)
		wait1()
	}
}

// sent waits until somebody receives its map.
//
//go:noinline
func sent(n int) {
	m := made(n)
	keeps(m)
	started.Done()
	blocked <- m
}

var blocked = make(chan table)

//go:noinline
func wait1() {
	if !waited {
		waited = true
		wait()
	}
}

var waited bool

// -- dead --------------------------------------------------------------------------------------------

//go:noinline
func notSet() {
	lost("notSet", "m", "l", "v", "all")
	m, l, v, all, err := waits(30)
	if err != nil || l != nil || v != nil || len(all) > 0 {
		panic(err)
	}
	use(m)
}

//go:noinline
func notReached(n int) {
	lost("notReached", "m", "l", "v")
	wait()
	m := made(n)
	l := large{m: made(n + 1)}
	var v any = m
	use(m)
	Sink += int(l.padding[n%4])
	use(l.m)
	use(v.(table))
}

//go:noinline
func used(n int) {
	m, l, v := made(n), &large{m: made(n)}, any(made(n))
	use(m)
	use(l.m)
	use(v.(table))
	lost("used", "m", "l", "v")
	wait()
	Sink += n
}

//go:noinline
func usedArgument(m table, l large) {
	use(m)
	use(l.m)
	lost("usedArgument", "m", "l")
	wait()
}

//go:noinline
func assigned(n int) {
	m := made(n)
	use(m)
	lost("assigned", "m")
	wait()
	m = made(n + 1)
	use(m)
}

//go:noinline
func unstarted(m table) { use(m) }

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func start(f func()) {
	started.Add(1)
	go func() {
		Sink += dirty(len(kept) % 16)
		f()
	}()
	started.Wait()
}

func main() {
	truth.Stages("waits")
	kept = new([64]uintptr)
	start(func() { argument(made(1)) })
	for _, f := range []func(){local, inStruct, pointed, chained, byReference, onHeap, inInterface, inSlice, inLoop} {
		start(f)
	}
	start(func() { use(result()) })
	start(func() { many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, made(17), large{m: made(18)}) })
	start(func() { thing{made(19)}.method(1) })
	start(func() { generic(made(23), 1) })
	start(deferred)
	start(func() { byTimer(80) })
	start(func() { ranged(82) })
	start(func() { sent(83) })
	start(notSet)
	start(func() { notReached(40) })
	start(func() { used(50) })
	start(func() { usedArgument(made(60), large{m: made(61)}) })
	start(func() { assigned(70) })
	for i := 0; i < 4; i++ {
		runtime.GC() // what is dead is freed, and given to others
		for n := 0; n < 1<<10; n++ {
			filler = append(filler, new([6]uintptr))
			for j := range filler[len(filler)-1] {
				filler[len(filler)-1][j] = uintptr(n+1) << 20 * uintptr(j+1)
			}
		}
	}
	truth.Parked(0)
	truth.Note("dead", dead)
	truth.Note("kept", elsewhere)
	truth.Publish("waits", held...)
	stop("waits")
	truth.Done()
}

var filler []*[6]uintptr
