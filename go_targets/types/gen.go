//go:build ignore

// Command gen writes cases.go: package-level maps over the kinds below. Every
// kind of key meets two kinds of elems, in turn, at sizes from 0 to 300.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"
)

type kind struct {
	name, typ, expr string // expr makes the i-th value
	max             int    // distinct values, when few
	min             int    // entries it takes to show all odd values
}

var keys = []kind{
	{"Bool", "bool", "i%2 == 0", 2, 0},
	{"Int", "int", "i*i - 50", 0, 0},
	{"Int8", "int8", "int8(i - 100)", 256, 0},
	{"Int16", "int16", "int16(-i * 100)", 0, 0},
	{"Int32", "int32", "math.MinInt32 + int32(i)", 0, 0},
	{"Int64", "int64", "math.MinInt64 + int64(i)", 0, 0},
	{"Uint", "uint", "uint(i) << 20", 0, 0},
	{"Uint8", "uint8", "uint8(i)", 256, 0},
	{"Uint16", "uint16", "math.MaxUint16 - uint16(i)", 0, 0},
	{"Uint32", "uint32", "math.MaxUint32 - uint32(i)", 0, 0},
	{"Uint64", "uint64", "math.MaxUint64 - uint64(i)", 0, 0},
	{"Uintptr", "uintptr", "uintptr(i) * 4096", 0, 0},
	{"Float32", "float32", "float32(i) / 3", 0, 0},
	{"Float64", "float64", "oddFloat(i)", 0, 20},
	{"Complex64", "complex64", "complex(float32(i), -0.5)", 0, 0},
	{"Complex128", "complex128", "complex(float64(i), oddFloat(i))", 0, 20},
	{"String", "string", `fmt.Sprint("key ", i)`, 0, 0},
	{"OddString", "string", "oddString(i)", 0, 20},
	{"IntPointer", "*int", "&numbers[i]", 0, 3},
	{"StructPointer", "*Point", "&Point{X: i, Y: -i}", 0, 0},
	{"Chan", "chan int", "make(chan int, i)", 0, 0},
	{"UnsafePointer", "unsafe.Pointer", "unsafe.Pointer(&numbers[i])", 0, 0},
	{"Any", "any", "oddAny(i)", 0, 20},
	{"Stringer", "fmt.Stringer", "stringer(i)", 0, 0},
	{"Array", "[3]int16", "[3]int16{int16(i), -1, int16(-i)}", 0, 0},
	{"Array0", "[0]string", "[0]string{}", 1, 0},
	{"Array128", "[128]byte", "[128]byte{0: byte(i), 127: byte(i >> 8)}", 0, 0},
	{"Array129", "[129]byte", "[129]byte{0: byte(i >> 8), 128: byte(i)}", 0, 0},
	{"Struct", "Point", "Point{X: i, Y: i + 1}", 0, 0},
	{"Nested", "Nested", `Nested{Name: Name(fmt.Sprint("n", i)), At: Point{X: i}, Box: Box[int8]{Value: int8(i)}}`, 0, 0},
	{"Padded", "Padded", "Padded{A: int8(i), B: int64(i) << 40, C: uint16(i)}", 0, 0},
	{"Empty", "struct{}", "struct{}{}", 1, 0},
	{"Huge", "Huge", "Huge{Words: [8]string{3: fmt.Sprint(i)}, N: i}", 0, 0},
	{"Color", "Color", "Color(i)", 0, 0},
	{"Name", "Name", `Name(fmt.Sprint("name ", i))`, 0, 0},
	{"Generic", "Pair[string, Color]", "Pair[string, Color]{First: fmt.Sprint(i), Second: Color(i)}", 0, 0},
	{"PathKey", "shapes.Key", `shapes.Key{ID: int32(i), Name: "path"}`, 0, 0},
}

var elems = []kind{
	{"Bool", "bool", "i%3 == 0", 0, 0},
	{"Int", "int", "-i", 0, 0},
	{"Int8", "int8", "int8(i)", 0, 0},
	{"Int16", "int16", "int16(-i)", 0, 0},
	{"Int32", "int32", "int32(i) << 16", 0, 0},
	{"Int64", "int64", "math.MaxInt64 - int64(i)", 0, 0},
	{"Uint", "uint", "uint(i)", 0, 0},
	{"Uint8", "uint8", "uint8(i)", 0, 0},
	{"Uint16", "uint16", "uint16(i)", 0, 0},
	{"Uint32", "uint32", "uint32(i)", 0, 0},
	{"Uint64", "uint64", "math.MaxUint64 - uint64(i)", 0, 0},
	{"Uintptr", "uintptr", "uintptr(i)", 0, 0},
	{"Float32", "float32", "float32(i) / 7", 0, 0},
	{"Float64", "float64", "oddFloat(i)", 0, 20},
	{"Complex64", "complex64", "complex(0.1, float32(i))", 0, 0},
	{"Complex128", "complex128", "complex(oddFloat(i), 1e300)", 0, 20},
	{"String", "string", "oddString(i)", 0, 20},
	{"IntPointer", "*int", "intPointer(i)", 0, 3},
	{"IntPointerPointer", "**int", "pointerPointer(i)", 0, 0},
	{"Cycle", "*Node", "cycle(i)", 0, 3},
	{"Chan", "chan string", "make(chan string)", 0, 0},
	{"RecvChan", "<-chan int", "nil", 0, 0},
	{"Func", "func(int) string", "function(i)", 0, 3},
	{"Any", "any", "oddAny(i)", 0, 20},
	{"Error", "error", "oddError(i)", 0, 3},
	{"Stringer", "fmt.Stringer", "stringer(i)", 0, 0},
	{"Slice", "[]int", "ints(i)", 0, 3},
	{"Bytes", "[]byte", `[]byte(fmt.Sprint(i))`, 0, 0},
	{"Slices", "[][]string", `[][]string{{"a", "\x00"}, nil, {}}`, 0, 0},
	{"StructSlice", "[]Point", "[]Point{{1, i}, {}}", 0, 0},
	{"Map", "map[string]int", "words(i)", 0, 3},
	{"NamedMap", "Named", "Named(words(i))", 0, 3},
	{"MapMap", "map[int]map[uint8]any", `map[int]map[uint8]any{i: {1: i, 2: "two"}, -1: nil}`, 0, 0},
	{"PathIndex", "shapes.Index", `shapes.Index{"tag": {ID: int32(i)}}`, 0, 0},
	{"Struct", "Point", "Point{X: i, Y: -i}", 0, 0},
	{"Embedding", "Embedding", `Embedding{Point: Point{X: i}, Node: cycle(i), Label: "l"}`, 0, 3},
	{"Anonymous", "struct{ X int8; Y string }", `struct{ X int8; Y string }{int8(i), "y"}`, 0, 0},
	{"Empty", "struct{}", "struct{}{}", 0, 0},
	{"Array0", "[0]int", "[0]int{}", 0, 0},
	{"Array4", "[4]uint8", "[4]uint8{1, 2, 3, byte(i)}", 0, 0},
	{"Array128", "[128]byte", "[128]byte{64: byte(i)}", 0, 0},
	{"Array129", "[129]byte", "[129]byte{128: byte(i)}", 0, 0},
	{"Huge", "Huge", `Huge{Words: [8]string{"first", 7: "last"}, N: i}`, 0, 0},
	{"Padded", "Padded", "Padded{A: 1, B: int64(i), C: 2}", 0, 0},
	{"Generic", "Pair[int, []Point]", "Pair[int, []Point]{First: i, Second: []Point{{i, i}}}", 0, 0},
	{"GenericPointer", "*Box[map[string]int]", "&Box[map[string]int]{Value: words(i)}", 0, 0},
	{"UnsafePointer", "unsafe.Pointer", "unsafe.Pointer(intPointer(i))", 0, 0},
	{"Color", "Color", "Color(i)", 0, 0},
	{"Tag", "shapes.Tag", `shapes.Tag("tag")`, 0, 0},
}

var sizes = []int{1, 3, 8, 9, 50, 300, 9, 8, 300, 3, 50}

func main() {
	var vars, fill, list, anys bytes.Buffer
	used := map[string]bool{}
	n := 0
	for _, k := range keys {
		for round := 0; round < 2; round++ {
			e := elems[n%len(elems)]
			size := sizes[n%len(sizes)]
			if n > len(elems) && n%5 == 0 {
				size = 0 // each elem kind has been in a filled map by now
			}
			n++
			if size > 0 {
				size = max(size, k.min, e.min)
			}
			if k.max > 0 && size > k.max {
				size = k.max
			}
			if size > 0 {
				used[k.name], used[e.name+" elem"] = true, true
			}
			name := k.name + "To" + e.name
			fmt.Fprintf(&vars, "%s = map[%s]%s{}\n", name, k.typ, e.typ)
			if size > 0 {
				fmt.Fprintf(&fill, "for i := 0; i < %d; i++ { %s[%s] = %s }\n", size, name, k.expr, e.expr)
			}
			fmt.Fprintf(&anys, "%s,\n", name)
			fmt.Fprintf(&list, "truth.Of(\"main.%s\", %s),\n", name, name)
		}
	}
	if len(used) != len(keys)+len(elems) {
		panic("some kind is in no filled map")
	}
	source := fmt.Sprintf(`// Code generated by gen.go. DO NOT EDIT.

package main

import (
	"fmt"
	"math"
	"unsafe"

	"gomap.test/targets/truth"
	"gomap.test/targets/types/shapes"
)

var (
%s)

// Anys holds all of these maps in interfaces, where only the runtime's own type
// descriptors say what they are.
var Anys []any

func fill() {
%sAnys = []any{
%s}
}

func cases() []truth.Map {
	return []truth.Map{
%s}
}
`, &vars, &fill, &anys, &list)
	text, err := format.Source([]byte(source))
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile("cases.go", text, 0o644); err != nil {
		panic(err)
	}
}
