// Command writes writes to maps one operation at a time, so that a debugger can stop at every instruction of each: at
// none of them may a map look damaged. Between begin and end one operation is under way, on the map that expr names.
package main

import (
	"fmt"
	"runtime"

	"gomap.test/targets/truth"
)

var (
	Ints  map[int]int
	Words map[string]int
	Pairs map[[2]string]*int
	Large map[[20]int64][20]int64 // both behind pointers
)

//go:noinline
func begin() {}

//go:noinline
func end() {}

//go:noinline
func done() {}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func step(expr, what string, do func()) {
	begin()
	do()
	end()
}

func word(i int) string { return fmt.Sprint("word ", i) }

func words(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[word(i)] = i
	}
	return m
}

func ints(n int) map[int]int {
	m := map[int]int{}
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

func main() {
	truth.Stages("ready")
	truth.Publish("ready")
	stop("ready")
	small()
	large()
	layout()
	done()
	truth.Done()
}

func small() {
	Words = map[string]int{}
	step("main.Words", "first insert", func() { Words["a"] = 1 })
	step("main.Words", "insert", func() { Words["b"] = 1 })
	step("main.Words", "update", func() { Words["b"]++ })
	step("main.Words", "delete", func() { delete(Words, "a") })
	step("main.Words", "last delete", func() { delete(Words, "b") })
	Words = words(8)
	step("main.Words", "ninth insert", func() { Words["ninth"] = 1 })
	Words = words(5)
	step("main.Words", "clear", func() { clear(Words) })
	Ints = ints(5)
	step("main.Ints", "insert", func() { Ints[99] = 1 })
	step("main.Ints", "delete", func() { delete(Ints, 3) })
	step("main.Ints", "clear", func() { clear(Ints) })
	Ints = ints(8)
	step("main.Ints", "ninth insert", func() { Ints[99] = 1 })
	Pairs = map[[2]string]*int{{"a", "b"}: nil, {"c", "d"}: nil}
	step("main.Pairs", "insert", func() { Pairs[[2]string{"e", "f"}] = nil })
	step("main.Pairs", "delete", func() { delete(Pairs, [2]string{"a", "b"}) })
	Large = map[[20]int64][20]int64{{1}: {1}, {2}: {2}}
	step("main.Large", "insert", func() { Large[[20]int64{3}] = [20]int64{} })
	step("main.Large", "delete", func() { delete(Large, [20]int64{1}) })
}

func large() {
	Words = words(20)
	step("main.Words", "insert into many", func() { Words["one more"] = 1 })
	step("main.Words", "delete from many", func() { delete(Words, word(7)) })
	step("main.Words", "clear many", func() { clear(Words) })
	Ints = ints(20)
	step("main.Ints", "insert into many", func() { Ints[1000] = 1 })
	step("main.Ints", "delete from many", func() { delete(Ints, 7) })
	step("main.Ints", "clear many", func() { clear(Ints) })
}
