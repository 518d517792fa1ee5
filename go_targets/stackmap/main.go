// Command stackmap has maps that never leave their function, so the compiler puts
// their headers on its stack, and the first bucket or group with it.
//
// Stages: live, in main.work:
//
//	ints    header and bucket (or group) on the stack
//	words   the same, with pointers in it
//	presized  header on the stack, buckets on the heap
//	empty   header on the stack, nothing in it yet
//
// No package variable holds them: that would move them to the heap.
package main

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"unsafe"

	"gomap.test/targets/truth"
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("live")
	// Publish takes addresses as integers, which a moving stack would not update.
	// So the stack grows first, and no collection shrinks it.
	debug.SetGCPercent(-1)
	truth.Check(growStack() == 0, "a large frame")
	truth.Check(work() == 15+6+120+0, "the maps")
	truth.Done()
}

//go:noinline
func growStack() byte {
	var frame [100 << 10]byte // over 128 KiB it would go to the heap
	return frame[len(frame)/2+len(stages())]
}

//go:noinline
func stages() string { return "live" }

//go:noinline
func work() int {
	ints := map[int]int{}
	for i := 1; i <= 5; i++ {
		ints[i] = i
	}
	words := map[string]int{"one": 1, "two": 2, "three": 3}
	presized := make(map[int]int, 100)
	for i := 0; i < 16; i++ {
		presized[i] = i
	}
	empty := map[string]bool{}

	publish(
		truth.At("ints", header(unsafe.Pointer(&ints)), reflect.TypeOf(map[int]int(nil)), len(ints), intEntries(ints)),
		truth.At("words", header(unsafe.Pointer(&words)), reflect.TypeOf(map[string]int(nil)), len(words), wordEntries(words)),
		truth.At("presized", header(unsafe.Pointer(&presized)), reflect.TypeOf(map[int]int(nil)), len(presized), intEntries(presized)),
		truth.At("empty", header(unsafe.Pointer(&empty)), reflect.TypeOf(map[string]bool(nil)), len(empty), nil))
	var here byte
	for _, h := range []uintptr{header(unsafe.Pointer(&ints)), header(unsafe.Pointer(&words)),
		header(unsafe.Pointer(&presized)), header(unsafe.Pointer(&empty))} {
		truth.Check(h-uintptr(unsafe.Pointer(&here))+4096 < 8192, "a header on the stack")
	}
	truth.Check(header(unsafe.Pointer(&ints)) == published, "the address that was published")
	stop("live")
	return sumInts(ints) + sumWords(words) + sumInts(presized) + len(empty)
}

// published is where ints was when publish was called.
var published uintptr

//go:noinline
func publish(maps ...truth.Map) {
	published = maps[0].Header()
	truth.Publish("live", maps...)
}

// header is the address of the header of the map variable at m.
func header(m unsafe.Pointer) uintptr { return *(*uintptr)(m) }

func intEntries(m map[int]int) (entries [][2]any) {
	for k, v := range m {
		entries = append(entries, [2]any{k, v})
	}
	return entries
}

func wordEntries(m map[string]int) (entries [][2]any) {
	for k, v := range m {
		entries = append(entries, [2]any{k, v})
	}
	return entries
}

func sumInts(m map[int]int) (sum int) {
	for _, v := range m {
		sum += v
	}
	return sum
}

func sumWords(m map[string]int) (sum int) {
	for _, v := range m {
		sum += v
	}
	return sum
}
