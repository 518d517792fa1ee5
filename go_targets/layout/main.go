// Command layout holds maps whose keys and elems lie differently in a bucket:
// alignment and padding, nothing at all, and a pointer for what takes more than
// 128 bytes. "shape" in the truth says where, by the runtime's type descriptors.
//
// Two more have types that only reflect makes: their keys are hashed by another
// function than the compiler's, and one is made for many more entries than it has.
//
// Stages: filled.
package main

import (
	"fmt"
	"reflect"
	"runtime"

	"gomap.test/targets/truth"
)

type (
	Mixed struct {
		A int8
		B int64
		C int16
	}
	Small struct {
		A int32
		B int8
	}
	Address struct {
		Host string
		Port uint16
	}
)

// Maps holds them all: n entries each, but for keys that have no n values.
var Maps struct {
	Int8Int64        map[int8]int64
	Int64Int8        map[int64]int8
	Int32Int8        map[int32]int8
	Int8Int8         map[int8]int8
	BytesInt16       map[[3]byte]int16
	Complex128Bool   map[complex128]bool
	MixedBool        map[Mixed]bool
	SmallBytes       map[Small][3]byte
	AddressString    map[Address]string
	StringEmpty      map[string]struct{}
	IntEmpty         map[int]struct{}
	Int8Empty        map[int8]struct{}
	EmptyInt         map[struct{}]int
	EmptyEmpty       map[struct{}]struct{}
	Bytes128Bytes128 map[[128]byte][128]byte
	IntBytes129      map[int][129]byte
	Bytes129Int      map[[129]byte]int
	Bytes129Bytes129 map[[129]byte][129]byte
	StringWords      map[string][20]uint64
	WordsString      map[[20]uint64]string
	Dense, Sparse    any // map[Row]note
}

// Row is hashed as two parts in maps that the compiler knows, as four in others.
type Row struct {
	ID          int32
	Shard, Kind uint16
	Name        string
}

type note struct{ Bytes [3]byte }

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("filled")
	const n = 20
	m := &Maps
	fill(n, &m.Int8Int64, func(i int) (int8, int64) { return int8(i), int64(i) << 40 })
	fill(n, &m.Int64Int8, func(i int) (int64, int8) { return int64(i) << 40, int8(-i) })
	fill(n, &m.Int32Int8, func(i int) (int32, int8) { return int32(-i), int8(i) })
	fill(n, &m.Int8Int8, func(i int) (int8, int8) { return int8(i), int8(-i) })
	fill(n, &m.BytesInt16, func(i int) ([3]byte, int16) { return [3]byte{1, 2, byte(i)}, int16(i) })
	fill(n, &m.Complex128Bool, func(i int) (complex128, bool) { return complex(0, float64(i)), i%2 == 0 })
	fill(n, &m.MixedBool, func(i int) (Mixed, bool) { return Mixed{int8(i), int64(-i), int16(i)}, i%2 == 1 })
	fill(n, &m.SmallBytes, func(i int) (Small, [3]byte) { return Small{int32(i), -1}, [3]byte{byte(i), 0, 9} })
	fill(n, &m.AddressString, func(i int) (Address, string) { return Address{"host", uint16(i)}, fmt.Sprint(i) })
	fill(n, &m.StringEmpty, func(i int) (string, struct{}) { return fmt.Sprint("key ", i), struct{}{} })
	fill(n, &m.IntEmpty, func(i int) (int, struct{}) { return i * i, struct{}{} })
	fill(n, &m.Int8Empty, func(i int) (int8, struct{}) { return int8(-i), struct{}{} })
	fill(1, &m.EmptyInt, func(i int) (struct{}, int) { return struct{}{}, 42 })
	fill(1, &m.EmptyEmpty, func(i int) (struct{}, struct{}) { return struct{}{}, struct{}{} })
	fill(n, &m.Bytes128Bytes128, func(i int) ([128]byte, [128]byte) { return [128]byte{127: byte(i)}, [128]byte{byte(i)} })
	fill(n, &m.IntBytes129, func(i int) (int, [129]byte) { return i, [129]byte{128: byte(i)} })
	fill(n, &m.Bytes129Int, func(i int) ([129]byte, int) { return [129]byte{byte(i)}, i })
	fill(n, &m.Bytes129Bytes129, func(i int) ([129]byte, [129]byte) { return [129]byte{64: byte(i)}, [129]byte{128: byte(i)} })
	fill(n, &m.StringWords, func(i int) (string, [20]uint64) { return fmt.Sprint(i), [20]uint64{19: uint64(i)} })
	fill(n, &m.WordsString, func(i int) ([20]uint64, string) { return [20]uint64{uint64(i)}, fmt.Sprint(i) })

	m.Dense, m.Sparse = reflected(n, 0), reflected(3, 100000)

	truth.Publish("filled",
		made("main.Maps.Dense", m.Dense), made("main.Maps.Sparse", m.Sparse),
		truth.Of("main.Maps.Int8Int64", m.Int8Int64), truth.Of("main.Maps.Int64Int8", m.Int64Int8),
		truth.Of("main.Maps.Int32Int8", m.Int32Int8), truth.Of("main.Maps.Int8Int8", m.Int8Int8),
		truth.Of("main.Maps.BytesInt16", m.BytesInt16), truth.Of("main.Maps.Complex128Bool", m.Complex128Bool),
		truth.Of("main.Maps.MixedBool", m.MixedBool), truth.Of("main.Maps.SmallBytes", m.SmallBytes),
		truth.Of("main.Maps.AddressString", m.AddressString), truth.Of("main.Maps.StringEmpty", m.StringEmpty),
		truth.Of("main.Maps.IntEmpty", m.IntEmpty), truth.Of("main.Maps.Int8Empty", m.Int8Empty),
		truth.Of("main.Maps.EmptyInt", m.EmptyInt), truth.Of("main.Maps.EmptyEmpty", m.EmptyEmpty),
		truth.Of("main.Maps.Bytes128Bytes128", m.Bytes128Bytes128), truth.Of("main.Maps.IntBytes129", m.IntBytes129),
		truth.Of("main.Maps.Bytes129Int", m.Bytes129Int), truth.Of("main.Maps.Bytes129Bytes129", m.Bytes129Bytes129),
		truth.Of("main.Maps.StringWords", m.StringWords), truth.Of("main.Maps.WordsString", m.WordsString))
	stop("filled")

	truth.Check(len(m.IntEmpty) == n && len(m.EmptyEmpty) == 1 && m.IntBytes129[n-1][128] == n-1 &&
		m.Bytes129Int[[129]byte{n - 1}] == n-1, "the maps")
	truth.Done()
}

func fill[K comparable, V any](n int, m *map[K]V, entry func(int) (K, V)) {
	*m = map[K]V{}
	for i := 0; i < n; i++ {
		k, v := entry(i)
		(*m)[k] = v
	}
	truth.Check(len(*m) == n, "distinct keys")
}

// reflected is a map[Row]note that reflect makes, with room for hint entries.
func reflected(n, hint int) any {
	m := reflect.MakeMapWithSize(reflect.MapOf(reflect.TypeOf(Row{}), reflect.TypeOf(note{})), hint)
	for i := 0; i < n; i++ {
		k, v := Row{int32(i), uint16(-i), 7, fmt.Sprint("row ", i)}, note{[3]byte{byte(i)}}
		m.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(v))
	}
	return m.Interface()
}

func made(expr string, m any) truth.Map {
	v := reflect.ValueOf(m)
	var entries [][2]any
	for _, k := range v.MapKeys() {
		entries = append(entries, [2]any{k.Interface(), v.MapIndex(k).Interface()})
	}
	return truth.At(expr, v.Pointer(), v.Type(), v.Len(), entries)
}
