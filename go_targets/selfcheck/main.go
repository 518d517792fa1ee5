// Command selfcheck proves that whoever looked at it changed nothing: it sums all
// memory of its maps, and variables of many kinds, before each stop and after it.
// It exits with status 3 and a message when a sum differs.
//
// Stages: filled, growing (a classic map in the middle of a growth; a Swiss map
// whose tables have tombstones).
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"gomap.test/targets/truth"
)

type Plain struct {
	Int     int
	Float   float64
	Text    string
	Numbers [64]uint32
	Slice   []byte
	Pointer *int
	Any     any
	Self    *Plain
}

// Keep holds what main's locals hold, for builds in which they are gone.
var Keep struct {
	Ints   map[int]int
	Words  map[string]*Plain
	Large  map[[129]byte][129]byte
	Nested map[string]map[int]string
	Plain  Plain
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("filled", "growing")
	seven := 7
	plain := &Keep.Plain
	*plain = Plain{Int: -1, Float: 0.1, Text: strings.Repeat("text", 10), Slice: []byte("bytes"), Pointer: &seven, Any: 3.5, Self: plain}
	ints, words := map[int]int{}, map[string]*Plain{}
	large, nested := map[[129]byte][129]byte{}, map[string]map[int]string{"in": {1: "one"}, "none": nil}
	for i := 0; i < 1000; i++ {
		ints[i] = i
		plain.Numbers[i%64] += uint32(i)
		if i < 20 {
			words[fmt.Sprint("word ", i)] = plain
			large[[129]byte{byte(i)}] = [129]byte{128: byte(i)}
		}
	}
	Keep.Ints, Keep.Words, Keep.Large, Keep.Nested = ints, words, large, nested
	look := func(stage string) {
		truth.Publish(stage,
			truth.Of("ints", ints), truth.Of("main.Keep.Ints", ints), truth.Of("words", words), truth.Of("main.Keep.Words", words),
			truth.Of("large", large), truth.Of("main.Keep.Large", large), truth.Of("nested", nested), truth.Of("main.Keep.Nested", nested))
	}
	sums := func() [7]uint64 {
		return [7]uint64{truth.Checksum(ints), truth.Checksum(words), truth.Checksum(large), truth.Checksum(nested),
			truth.Checksum(nested["in"]), sumOf(plain), sumBytes(plain.Slice)}
	}

	look("filled")
	before := sums()
	stop("filled")
	compare(before, sums())

	if truth.Swiss {
		for i := 0; i < 1000; i += 2 {
			delete(ints, i)
		}
		truth.Check(truth.Look(ints).Slots.Tombstones > 0, "tombstones")
	} else {
		for i := 1000; truth.Look(ints).Growth.State == "none"; i++ {
			ints[i] = i
		}
	}
	look("growing")
	before = sums()
	stop("growing")
	compare(before, sums())

	runtime.KeepAlive([]any{ints, words, large, nested, plain})
	truth.Done()
}

func compare(before, after [7]uint64) {
	if before != after {
		fmt.Fprintln(os.Stderr, "selfcheck: memory changed during the stop:", before, after)
		os.Exit(3)
	}
}

// sumOf sums the bytes of the struct itself.
func sumOf(p *Plain) uint64 {
	return sumBytes(unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)))
}

func sumBytes(bytes []byte) uint64 {
	sum := uint64(len(bytes))
	for _, b := range bytes {
		sum = sum*31 + uint64(b)
	}
	return sum
}
