// Command shared is a Go program that C calls into. Built in three ways, it stops
// in the same function:
//
//	with cgo            main calls C (call.c), which calls Run
//	-buildmode=c-shared a C program (host/main.c) loads the library and calls Run
//	-buildmode=plugin   a Go program (../pluginhost) opens it and calls Go
//
// Stages: start, grown.
package main

// void call_back(void);
import "C"

import (
	"fmt"
	"reflect"
	"runtime"

	"gomap.test/targets/truth"
)

// Point is a key with a type of its own.
type Point struct{ X, Y int }

// Keep holds the locals too, for builds in which they live in registers.
var Keep struct {
	Ints   map[int]int
	Words  map[string][]int
	Points map[Point]string
	Any    map[any]any
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() { C.call_back() }

//export Run
func Run() { Go() }

// Go makes maps and publishes them. The package is called main where it is no plugin.
func Go() {
	truth.Stages("start", "grown")
	ints, words := map[int]int{}, map[string][]int{}
	points, boxed := map[Point]string{}, map[any]any{}
	Keep.Ints, Keep.Words, Keep.Points, Keep.Any = ints, words, points, boxed
	keep := reflect.TypeOf(Point{}).PkgPath() + ".Keep."
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			ints[i] = i * i
			words[fmt.Sprint("word ", i)] = []int{i}
			points[Point{i, -i}] = fmt.Sprint("point ", i)
			boxed[i], boxed[fmt.Sprint(i)], boxed[Point{i, i}] = i, Point{i, 0}, nil
		}
	}
	show := func(stage string) {
		truth.Publish(stage, truth.Of(keep+"Ints", ints), truth.Of("ints", ints),
			truth.Of(keep+"Words", words), truth.Of(keep+"Points", points), truth.Of(keep+"Any", boxed))
	}
	fill(0, 6)
	show("start")
	stop("start")
	fill(6, 300)
	show("grown")
	stop("grown")
	truth.Check(len(ints) == 300 && len(boxed) == 900, "the maps")
	truth.Done()
}
