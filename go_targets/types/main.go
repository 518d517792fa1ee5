// Command types holds package-level maps of many key and elem types, most of
// them generated (gen.go writes cases.go).
//
// Stages: filled.
package main

//go:generate go run gen.go

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"

	"gomap.test/targets/truth"
	"gomap.test/targets/types/shapes"
)

type (
	Color uint8
	Name  string
	Named map[string]int
	Point struct{ X, Y int }
	Node  struct {
		V    int
		Next *Node
	}
	Embedding struct {
		Point
		*Node
		_     int32
		Label Name
	}
	Nested struct {
		Name Name
		At   Point
		Box  Box[int8]
	}
	Padded struct {
		A int8
		B int64
		C uint16
		_ [3]byte
	}
	Huge struct {
		Words [8]string
		N     int
	}
	Box[T any]     struct{ Value T }
	Pair[A, B any] struct {
		First  A
		Second B
	}
)

func (c Color) String() string  { return fmt.Sprint("color ", uint8(c)) }
func (p *Point) String() string { return fmt.Sprint(p.X, ",", p.Y) }

var numbers [300]int

// Maps behind other things than a plain variable of map type.
var (
	NilMap      map[Point][]int
	NilNamed    Named
	NamedMap        = Named{"one": 1, "two": 2}
	PathMap         = shapes.Index{"a": {ID: 1, Name: "x"}, "b": {}}
	Boxed       any = map[Color]string{1: "red", 2: "green"}
	Pointer         = &map[string]Point{"origin": {}}
	GenericMap      = Box[map[int]Name]{Value: map[int]Name{1: "one"}}
	ArrayOfMaps     = [3]map[string]bool{1: {"yes": true}}
	SliceOfMaps     = []map[int]int{{1: 2}, nil, {3: 4}}
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("filled")
	for i := range numbers {
		numbers[i] = i * 10
	}
	fill()
	boxed := Boxed.(map[Color]string)
	before := len(cases())
	truth.Publish("filled", append(cases(),
		truth.Of("main.NilMap", NilMap),
		truth.Of("main.NilNamed", NilNamed),
		truth.Of("main.NamedMap", NamedMap),
		truth.Of("main.PathMap", PathMap),
		truth.Of("main.Boxed", boxed),
		truth.Of("main.Pointer", *Pointer),
		truth.Of("main.GenericMap.Value", GenericMap.Value),
		truth.Of("main.ArrayOfMaps[0]", ArrayOfMaps[0]),
		truth.Of("main.ArrayOfMaps[1]", ArrayOfMaps[1]),
		truth.Of("main.SliceOfMaps[0]", SliceOfMaps[0]),
		truth.Of("main.SliceOfMaps[1]", SliceOfMaps[1]),
		truth.Of("main.SliceOfMaps[2]", SliceOfMaps[2]),
	)...)
	stop("filled")
	truth.Check(len(cases()) == before && numbers[299] == 2990 && boxed[2] == "green", "the maps")
	truth.Done()
}

func oddFloat(i int) float64 {
	odd := []float64{math.NaN(), math.Copysign(0, -1), math.Inf(1), math.NaN(), math.Inf(-1), 0.1, 1e21, 5e-324, math.MaxFloat64, 1e-7}
	if i < len(odd) {
		return odd[i]
	}
	return float64(i) / 8
}

func oddString(i int) string {
	odd := []string{"\xff\xfe\x80", "", "\x00\x01\x1f\x7f", "tab\tnewline\nquote\"back\\slash", "zwölf — 十二 — \U0001f600",
		strings.Repeat("long ", 100), "cut \xe2\x82", "\u2028\u200b\ufeff", "\xed\xa0\x80", "'`"}
	if i < len(odd) {
		return odd[i]
	}
	return fmt.Sprint("plain ", i)
}

func oddAny(i int) any {
	odd := []any{nil, 1, "one", 1.5, true, Color(3), Point{X: 1}, math.NaN(), [2]any{"in", 2}, (*Point)(nil),
		int64(-5), uint8(7), Name("name"), 2i, float32(0.1), struct{}{}, shapes.Key{ID: 2}, Box[any]{Value: int16(1)}, &Point{Y: 9}}
	if i < len(odd) {
		return odd[i]
	}
	return i
}

// stringer puts three dynamic types behind an interface with methods.
func stringer(i int) fmt.Stringer {
	switch i % 3 {
	case 0:
		return Color(i)
	case 1:
		return &Point{X: i}
	}
	if i == 2 {
		return nil
	}
	return Color(i)
}

func oddError(i int) error {
	switch i % 3 {
	case 0:
		return nil
	case 1:
		return errors.New("plain")
	}
	return fmt.Errorf("wrapped: %w", errors.New("inner"))
}

func cycle(i int) *Node {
	switch i % 3 {
	case 0:
		return nil
	case 1:
		n := &Node{V: i}
		n.Next = n
		return n
	}
	a, b := &Node{V: i}, &Node{V: -i}
	a.Next, b.Next = b, a
	return a
}

func intPointer(i int) *int {
	if i == 1 {
		return nil
	}
	return &numbers[i]
}

func pointerPointer(i int) **int {
	p := intPointer(i)
	return &p
}

func function(i int) func(int) string {
	switch i % 3 {
	case 0:
		return nil
	case 1:
		return func(n int) string { return fmt.Sprint(n, i) }
	}
	return describe
}

func describe(n int) string { return fmt.Sprint("number ", n) }

func ints(i int) []int {
	switch i {
	case 0:
		return nil
	case 1:
		return []int{}
	}
	return []int{i, -i}
}

func words(i int) map[string]int {
	switch i {
	case 0:
		return nil
	case 1:
		return map[string]int{}
	}
	return map[string]int{"b": i, "a": 1, "\n": 0}
}
