// Command deaths dies in one of the ways in which Go programs die, most of them
// inside a map operation, none of them of a data race that the runtime reports.
//
// GOMAP_STAGE names the way, which is the program's only stage. Each publishes
// just before it dies:
//
//	maps EXPR          the map that it dies in an operation on, if there is one
//	notes.operation    the operation, null where it dies outside of all
//	notes.pid          of the program
//
// What it died of, the goroutine and the line the runtime says itself, on
// standard error.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"gomap.test/targets/truth"
)

type session struct{ data [100]byte }

// Maps that the ways die in.
var (
	Sessions = map[int]session{}
	ByAny    = map[any]int{1: 1}
	ByName   = map[string]int{}
	ByNumber = map[int]int{1: 1}
	Labels   = map[string]bool{}
	Cache    map[string]int
	Other    map[string]int
)

type way struct {
	operation string // "" where it dies outside of all operations
	die       func()
	tell      func() truth.Map // nil where no map takes part
}

func ways() map[string]way {
	found := map[string]way{
		"oom":        {"grow", func() { outOfMemory() }, func() truth.Map { return truth.Of("main.Sessions", Sessions) }},
		"fault":      {"read", func() { lookUp(badString(0xdead0000)) }, byName},
		"nilkey":     {"write", func() { store(badString(8)) }, byName},
		"unhashable": {"write", func() { storeAny([]int{1}) }, func() truth.Map { return truth.Of("main.ByAny", ByAny) }},
		"overflow":   {"write", overflow, func() truth.Map { return truth.Of("main.ByNumber", ByNumber) }},
		"compare":    {"read", func() { compare() }, byName},
		"inside":     {"write", inside, byName},
		"nilglobal":  {"write", func() { cache("k") }, func() truth.Map { return truth.Of("main.Cache", Cache) }},
		"deferred":   {"", func() { deferred() }, nil},
		"body":       {"", func() { body() }, nil},
		"stringer":   {"", func() { stringer() }, nil},
		"value":      {"", func() { value() }, nil},
		"plain":      {"", func() { closeNil(nil) }, nil},
		"unlock":     {"", func() { unlock() }, nil},
		"deadlock":   {"", func() { <-make(chan bool) }, nil},
		"quit":       {"", quit, byName},
	}
	if !truth.Swiss {
		found["badstate"] = way{"grow", badState, func() truth.Map { return truth.Of("main.Labels", Labels) }}
	}
	return found
}

func byName() truth.Map { return truth.Of("main.ByName", ByName) }

func main() {
	all := ways()
	for c := 'a'; c < 'm'; c++ { // so many that a key is hashed
		ByName[string(c)] = 1
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	wanted := os.Getenv("GOMAP_STAGE")
	if _, ok := all[wanted]; ok {
		names = []string{wanted}
	}
	truth.Stages(names...)
	chosen, ok := all[wanted]
	if !ok {
		fmt.Fprintln(os.Stderr, "GOMAP_STAGE is none of", strings.Join(names, " "))
		os.Exit(2)
	}
	truth.Note("pid", os.Getpid())
	truth.Note("operation", nil)
	if chosen.operation != "" {
		truth.Note("operation", chosen.operation)
	}
	if wanted != "badstate" {
		publish(wanted, chosen)
	}
	chosen.die()
}

func publish(name string, chosen way) {
	if chosen.tell == nil {
		truth.Publish(name)
	} else {
		truth.Publish(name, chosen.tell())
	}
}

// badString is a key whose bytes lie where nothing is.
func badString(address uintptr) string {
	header := struct{ data, length uintptr }{address, 8}
	return *(*string)(unsafe.Pointer(&header))
}

// outOfMemory inserts until the kernel gives no more, within a limit of its own.
//
//go:noinline
func outOfMemory() {
	debug.SetMaxThreads(20)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var pages uint64
	fmt.Sscan(string(statm), &pages)
	most := pages*uint64(os.Getpagesize()) + 16<<20
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		Sessions[i] = session{}
	}
}

//go:noinline
func lookUp(key string) int {
	return ByName[key]
}

//go:noinline
func store(key string) {
	ByName[key] = 1
}

//go:noinline
func storeAny(key any) {
	ByAny[key] = 1
}

func overflow() {
	debug.SetMaxStack(64 << 10)
	down(1)
}

//go:noinline
func down(n int) {
	ByNumber[1] = n
	down(n + 1)
}

type account struct{ owner *string }

// compare looks a key up through a comparison that follows a nil pointer.
//
//go:noinline
func compare() {
	var none account
	slow := truth.Slowed(ByName, func(p, q unsafe.Pointer) bool { return *none.owner == *(*string)(p) }, nil)
	lookUpBy(slow)
}

// inside has a nil pointer followed by a comparison that a write waits for.
func inside() {
	var none account
	slow := truth.Slowed(ByName, func(p, q unsafe.Pointer) bool { return *none.owner == *(*string)(p) }, nil)
	storeBy(slow)
}

var errCleanUp = errors.New("clean up failed")

// deferred panics inside an operation, and again in a deferred function, which has left it.
//
//go:noinline
func deferred() {
	defer cleanUp()
	Cache["k"] = 1
}

//go:noinline
func cleanUp() { panic(errCleanUp) }

//go:noinline
func body() {
	for name, n := range ByName {
		if n > 0 {
			panic("no room for " + name[:0] + "names")
		}
	}
}

type temperature struct{ degrees *int }

func (t temperature) String() string { return fmt.Sprint("temperature ", *t.degrees) }

//go:noinline
func stringer() { panic(temperature{new(int)}) }

//go:noinline
func value() { panic(fmt.Errorf("row %d: %w", 7, json.Unmarshal([]byte("{"), new(int)))) }

//go:noinline
func closeNil(c chan bool) { close(c) }

//go:noinline
func unlock() {
	var mu sync.Mutex
	mu.Unlock()
}

// quit gets a SIGQUIT from outside while a goroutine waits inside a write.
func quit() {
	never := make(chan bool)
	var entered sync.WaitGroup
	entered.Add(1)
	slow := truth.Slowed(ByName, func(p, q unsafe.Pointer) bool { entered.Done(); <-never; return true }, nil)
	go storeBy(slow)
	entered.Wait()
	truth.Parked(0)
	if err := syscall.Kill(os.Getpid(), syscall.SIGQUIT); err != nil {
		panic(err)
	}
	time.Sleep(time.Hour) // without a timer, the runtime may call it a deadlock before the signal is there
}

//go:noinline
func cache(key string) {
	Cache[key] = 1
}
