package main

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"

	"gomap.test/targets/truth"
)

// Every kind of map operation that the compiler and reflect have, each a function
// of one line, so that the function's line is the operation's; a loop's is the next.

var value = reflect.ValueOf

type pair [2]int64
type fat [2000]byte

//go:noinline
func read32(m map[int32]int) int { return m[1] }

//go:noinline
func has32(m map[int32]int) bool { _, ok := m[1]; return ok }

//go:noinline
func write32(m map[int32]int) { m[1] = 2 }

//go:noinline
func delete32(m map[int32]int) { delete(m, 2) }

//go:noinline
func read64(m map[int64]int) int { return m[1] }

//go:noinline
func has64(m map[int64]int) bool { _, ok := m[1]; return ok }

//go:noinline
func write64(m map[int64]int) { m[1] = 2 }

//go:noinline
func delete64(m map[int64]int) { delete(m, 2) }

//go:noinline
func readString(m map[string]int) int { return m["a"] }

//go:noinline
func hasString(m map[string]int) bool { _, ok := m["a"]; return ok }

//go:noinline
func writeString(m map[string]int) { m["a"] = 2 }

//go:noinline
func deleteString(m map[string]int) { delete(m, "b") }

//go:noinline
func writePointer(m map[*int]int, p *int) { m[p] = 2 }

//go:noinline
func readPair(m map[pair]int) int { return m[pair{1, 1}] }

//go:noinline
func hasPair(m map[pair]int) bool { _, ok := m[pair{1, 1}]; return ok }

//go:noinline
func writePair(m map[pair]int) { m[pair{1, 1}] = 2 }

//go:noinline
func deletePair(m map[pair]int) { delete(m, pair{2, 2}) }

//go:noinline
func readFat(m map[pair]fat) byte { return m[pair{1, 1}][0] }

//go:noinline
func rangeOver(m map[string]int) {
	for range m {
	}
}

//go:noinline
func clearAll(m map[string]int) { clear(m) }

//go:noinline
func cloned(m map[string]int) { maps.Clone(m) }

//go:noinline
func growing(m map[string]int) { m["new"] = 9 }

//go:noinline
func reflectWrite(m map[string]int) { value(m).SetMapIndex(value("a"), value(3)) }

//go:noinline
func reflectRead(m map[string]int) { reflect.ValueOf(m).MapIndex(reflect.ValueOf("a")) }

//go:noinline
func reflectNext(m map[string]int) { reflect.ValueOf(m).MapRange().Next() }

type step struct {
	symbol, operation string
	function          any
	tellMap           func(expr string)
	run               func()
}

func (s step) tell(number int) {
	f := runtime.FuncForPC(reflect.ValueOf(s.function).Pointer())
	_, line := f.FileLine(f.Entry())
	if f.Name() == "main.rangeOver" {
		line++
	}
	s.tellMap(fmt.Sprintf("step %d %s %s %s %d", number, s.symbol, s.operation, f.Name(), line))
}

func of[M ~map[K]V, K comparable, V any](symbol, operation string, function any, m M, run func(M)) step {
	return step{symbol, operation, function, func(expr string) { tell(expr, m) }, func() { run(m) }}
}

// itinerary is the tour's steps, with the runtime's function that each enters.
// mapaccess1 has mapaccess2 inlined in new versions, so that one comes first.
func itinerary() []step {
	m32, m64 := map[int32]int{1: 1, 2: 2}, map[int64]int{1: 1, 2: 2}
	text, pairs := map[string]int{"a": 1, "b": 2}, map[pair]int{{1, 1}: 1, {2, 2}: 2}
	pointer := new(int)
	pointers, fats := map[*int]int{pointer: 1}, map[pair]fat{{1, 1}: {1}}
	full := registry("full", 8).byName
	start, next, grow := "runtime.mapiterinit", "runtime.mapiternext", "runtime.hashGrow"
	reflectStart := start
	if truth.Swiss {
		start, next, grow = "runtime.mapIterStart", "runtime.mapIterNext", "internal/runtime/maps.(*Map).growToTable"
		reflectStart = "internal/runtime/maps.(*Iter).Next" // reflect's mapIterStart is inlined
	}
	steps := []step{
		of("runtime.mapaccess2_fast32", "read", has32, m32, func(m map[int32]int) { has32(m) }),
		of("runtime.mapaccess1_fast32", "read", read32, m32, func(m map[int32]int) { read32(m) }),
		of("runtime.mapassign_fast32", "write", write32, m32, write32),
		of("runtime.mapdelete_fast32", "delete", delete32, m32, delete32),
		of("runtime.mapaccess2_faststr", "read", hasString, text, func(m map[string]int) { hasString(m) }),
		of("runtime.mapaccess1_faststr", "read", readString, text, func(m map[string]int) { readString(m) }),
		of("runtime.mapassign_faststr", "write", writeString, text, writeString),
		of("runtime.mapaccess2", "read", hasPair, pairs, func(m map[pair]int) { hasPair(m) }),
		of("runtime.mapaccess1", "read", readPair, pairs, func(m map[pair]int) { readPair(m) }),
		of("runtime.mapassign", "write", writePair, pairs, writePair),
		of("runtime.mapdelete", "delete", deletePair, pairs, deletePair),
		of("runtime.mapaccess1_fat", "read", readFat, fats, func(m map[pair]fat) { readFat(m) }),
		of(start, "iterate", rangeOver, text, rangeOver),
		of(next, "iterate", rangeOver, text, rangeOver),
		of("runtime.mapassign_faststr", "write", reflectWrite, text, reflectWrite),
		of("runtime.mapaccess2_faststr", "read", reflectRead, text, reflectRead),
		of(reflectStart, "iterate", reflectNext, text, reflectNext),
		of("maps.clone", "read", cloned, text, cloned),
		of(grow, "grow", growing, full, growing),
		of("runtime.mapdelete_faststr", "delete", deleteString, text, deleteString),
		of("runtime.mapclear", "clear", clearAll, text, clearAll),
	}
	if 32<<(^uint(0)>>63) == 64 { // on 32 bits these take the fast32 or the slow path
		steps = append(steps,
			of("runtime.mapaccess2_fast64", "read", has64, m64, func(m map[int64]int) { has64(m) }),
			of("runtime.mapaccess1_fast64", "read", read64, m64, func(m map[int64]int) { read64(m) }),
			of("runtime.mapassign_fast64", "write", write64, m64, write64),
			of("runtime.mapassign_fast64ptr", "write", writePointer, pointers, func(m map[*int]int) { writePointer(m, pointer) }),
			of("runtime.mapdelete_fast64", "delete", delete64, m64, delete64))
	}
	return steps
}
