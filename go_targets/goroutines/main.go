// Command goroutines holds maps in the frames of goroutines in every state: each
// has a map of its own and all have Shared.
//
// Stage "all": main.main stops while goroutines wait for a channel, in select, for
// a mutex, for a timer, on a WaitGroup, for a file descriptor and in a system
// call; one spins in user code, one may never have run, some are dead, and GOMAP_N
// (20 unless set) stand seven frames deep.
//
// What each holds is published as `goroutine ID FUNCTION VARIABLE`, and what the
// runtime itself prints of every goroutine's stack as the note "stacks".
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gomap.test/targets/truth"
)

type Table map[string]int

type Holder struct {
	Name string
	M    map[string]int
}

// Shared is held by every goroutine.
var Shared = map[string]int{"shared": 1}

var (
	started sync.WaitGroup
	guard   sync.Mutex
	held    []truth.Map
	never   = make(chan bool)
	busy    atomic.Bool
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// holds notes that the calling goroutine's variable of that function has m.
func holds(function, variable string, m map[string]int) {
	guard.Lock()
	held = append(held, truth.Of(fmt.Sprintf("goroutine %d main.%s %s", truth.Goid(), function, variable), m).Unnamed())
	guard.Unlock()
}

//go:noinline
func inChannel(m map[string]int) {
	holds("inChannel", "m", m)
	started.Done()
	<-never
	m["woken"] = 1
}

//go:noinline
func inSelect(m map[string]int) {
	local := Holder{"select", m}
	holds("inSelect", "local.M", local.M)
	started.Done()
	select {
	case <-never:
	case <-time.After(time.Hour):
	}
	local.M["woken"] = 1
}

var locked sync.Mutex

// Synced holds a map that nothing else does.
var Synced sync.Map

//go:noinline
func inMutex(m map[string]int) {
	holds("inMutex", "m", m)
	started.Done()
	locked.Lock()
	m["woken"] = 1
}

//go:noinline
func inSleep(m map[string]int) {
	pointer := &Holder{"sleep", m}
	holds("inSleep", "pointer.M", m)
	started.Done()
	time.Sleep(time.Hour)
	pointer.M["woken"] = 1
}

//go:noinline
func inWait(m map[string]int) {
	var group sync.WaitGroup
	group.Add(1)
	var boxed any = m
	holds("inWait", "boxed", m)
	started.Done()
	group.Wait()
	boxed.(map[string]int)["woken"] = 1
}

// inRead waits for a file descriptor, in the network poller.
//
//go:noinline
func inRead(m map[string]int, from *os.File) {
	holds("inRead", "m", m)
	started.Done()
	from.Read(make([]byte, 1))
	m["woken"] = 1
}

// inCall waits in a system call.
//
//go:noinline
func inCall(m map[string]int, from int) {
	holds("inCall", "m", m)
	started.Done()
	syscall.Read(from, make([]byte, 1))
	m["woken"] = 1
}

// spinning runs until the program ends; it waits where nothing could interrupt it to stop the world.
//
//go:noinline
func spinning(m map[string]int) {
	holds("spinning", "m", m)
	started.Done()
	if truth.Cooperative {
		<-never
	}
	for n := 0; !busy.Load(); n++ {
		if n < 0 {
			m["woken"] = 1
		}
	}
	m["woken"] = 1
}

// inClosure captured m by reference: it is assigned again.
func inClosure(m map[string]int) {
	m = Table(m)
	wait := func() {
		holds("inClosure.func1", "m", m)
		started.Done()
		<-never
		m["woken"] = 1
	}
	wait()
	m = nil
}

// Seven frames, one of them inlined in an optimised build.
//
//go:noinline
func deep1(m map[string]int) int { return deep2(Holder{"deep", m}) + len(m) }

//go:noinline
func deep2(h Holder) int { return deep3(&h, [2]Table{1: Table(h.M)}) + len(h.M) }

//go:noinline
func deep3(h *Holder, pair [2]Table) int { return deep4(h.M, []map[string]int{h.M}) + len(pair[1]) }

func deep4(m map[string]int, list []map[string]int) int { return deep5(m) + len(list) }

//go:noinline
func deep5(m map[string]int) int { return deep6(m, Shared) + len(m) }

//go:noinline
func deep6(m, shared map[string]int) int {
	deep7(m)
	return len(m) + len(shared)
}

//go:noinline
func deep7(m map[string]int) {
	started.Done()
	<-never
	m["woken"] = 1
}

// unstarted is made runnable, and may have got a processor or not. It does not give that up where it need not: its
// thread would be in the scheduler whenever the program is stopped, where no debugger sees whom it works for.
//
//go:noinline
func unstarted(m map[string]int) {
	for !busy.Load() {
		if truth.Cooperative {
			runtime.Gosched()
		}
	}
	m["woken"] = 1
}

func dead(m map[string]int) {
	m["dead"] = 1
	started.Done()
}

func main() {
	truth.Stages("all")
	deeper := 20
	if n, err := strconv.Atoi(os.Getenv("GOMAP_N")); err == nil {
		deeper = n
	}
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	var raw [2]int
	if err := syscall.Pipe(raw[:]); err != nil {
		panic(err)
	}
	locked.Lock()
	inSync := map[string]int{"synced": 1}
	Synced.Store("key", inSync)
	Synced.Store(7, Holder{"held", inSync})
	held = append(held, truth.Of(`main.Synced.Load("key")`, inSync).Unnamed(), truth.Of("main.Synced.Load(7).M", inSync).Unnamed())

	own := func(name string) map[string]int { return map[string]int{name: 1} }
	started.Add(9)
	go inChannel(own("inChannel"))
	go inSelect(own("inSelect"))
	go inMutex(own("inMutex"))
	go inSleep(own("inSleep"))
	go inWait(own("inWait"))
	go inRead(own("inRead"), read)
	go inCall(own("inCall"), raw[0])
	go inClosure(own("inClosure"))
	go inChannel(Shared)
	started.Wait()

	started.Add(deeper)
	for i := 0; i < deeper; i++ {
		m, told := own(strconv.Itoa(i)), i < 100
		go func() {
			if told {
				holds("deep1", "m", m)
				holds("deep2", "h.M", m)
				holds("deep3", "pair[1]", m)
				holds("deep5", "m", m)
				holds("deep6", "m", m)
				holds("deep6", "shared", Shared)
				holds("deep7", "m", m)
			}
			deep1(m)
		}()
	}
	started.Wait()
	started.Add(5)
	for range make([]bool, 5) {
		go dead(own("dead"))
	}
	started.Wait()
	// Whose state the traceback tells is in it at the stop too, and the dead are gone from both.
	truth.Parked(0)

	started.Add(1)
	go spinning(own("spinning"))
	started.Wait()
	waiting := own("unstarted")
	go unstarted(waiting)
	publishAndStop(waiting)
	busy.Store(true)
	write.Close()
	truth.Done()
}

//go:noinline
func publishAndStop(waiting map[string]int) {
	stacks := make([]byte, 1<<22)
	truth.Note("stacks", string(stacks[:runtime.Stack(stacks, true)]))
	truth.Publish("all", append(held, truth.Of("main.Shared", Shared), truth.Of("unstarted m", waiting).Unnamed())...)
	stop("all")
	runtime.KeepAlive(waiting)
}
