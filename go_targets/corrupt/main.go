// Command corrupt damages the headers and buckets of its own maps, as a stray
// write would. Nothing but a debugger may look at them afterwards, so the program
// publishes no maps, never touches them again, and no collection runs.
//
// It also has variables that lead to no map, for expressions that must fail.
//
// Stages of classic maps:
//
//	B200       B is 200
//	B40        B is 40: 2^40 buckets
//	cycle      the first bucket's overflow bucket is itself
//	buckets    the bucket array lies nowhere
//	count      count is 2^60
//	oldbuckets oldbuckets lies nowhere
//	marks      every tophash is 0x55
//
// Stages of Swiss maps:
//
//	dirlen     dirLen is 2^60
//	dirlen7    dirLen is 7
//	directory  the directory lies nowhere
//	table      the directory's first table lies nowhere
//	groups     the first table's groups lie nowhere
//	lengthmask the first table's lengthMask is 2^60-1
//	count      used is 2^60
//	control    control bytes that mean nothing (0x81 to 0xFD)
//
// and of both:
//
//	interface  an elem, an interface, whose type lies nowhere
//	string     a key, a string, whose length is 2^60
package main

import (
	"runtime"
	"runtime/debug"
	"unsafe"

	"gomap.test/targets/truth"
)

const nowhere = uintptr(0x123456789000)

// Maps are the damaged ones, and Whole, which is not.
var Maps struct {
	Ints  map[int]int
	Words map[string]int
	Any   map[int]any
	Whole map[int]int
}

// Nothing leads to no map at all.
var Nothing struct {
	Any     any
	Pointer *map[string]int
	Holder  *struct{ M map[string]int }
	Number  int
	Text    string
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	debug.SetGCPercent(-1)
	damage := map[string]func(){}
	stages := []string{}
	add := func(stage string, do func()) {
		stages = append(stages, stage)
		damage[stage] = do
	}
	word := func(at uintptr) *uintptr { return *(**uintptr)(unsafe.Pointer(&at)) }
	header := func() uintptr { return *(*uintptr)(unsafe.Pointer(&Maps.Ints)) }
	size := unsafe.Sizeof(uintptr(0))
	if truth.Swiss {
		// used uint64, seed, dirPtr, dirLen (internal/runtime/maps, Map).
		directory, dirLen := func() uintptr { return header() + 8 + size }, func() uintptr { return header() + 8 + 2*size }
		table := func() uintptr { return *word(*word(directory())) }
		// used, capacity, growthLeft uint16, localDepth uint8, index int, groups (table).
		groups := func() uintptr { return table() + 8 + size }
		add("dirlen", func() { *word(dirLen()) = 1 << 60 })
		add("dirlen7", func() { *word(dirLen()) = 7 })
		add("directory", func() { *word(directory()) = nowhere })
		add("table", func() { *word(*word(directory())) = nowhere })
		add("groups", func() { *word(groups()) = nowhere })
		add("lengthmask", func() { *word(groups() + size) = 1<<60 - 1 })
		add("control", func() { *word(*word(groups())) = 0x9988_7766_FDAA_9181 })
	} else {
		// count, flags and B uint8, noverflow uint16, hash0 uint32, buckets, oldbuckets (runtime.hmap).
		b := func() *uint8 { return (*uint8)(unsafe.Pointer(word(header() + size + 1))) }
		buckets := func() uintptr { return header() + 2*size }
		add("B200", func() { *b() = 200 })
		add("B40", func() { *b() = 40 })
		add("cycle", func() {
			bucket := *word(buckets())
			*word(bucket + 8 + 8*2*8) = bucket // tophash, keys, elems, overflow
		})
		add("buckets", func() { *word(buckets()) = nowhere })
		add("oldbuckets", func() { *word(buckets() + size) = nowhere })
		add("marks", func() {
			// In all buckets: one of them may be full.
			for i := uintptr(0); i < 1<<*b(); i++ {
				*word(*word(buckets()) + i*(8+8*2*8+size)) = 0x5555_5555_5555_5555
			}
		})
	}
	add("count", func() { *word(header()) = 1 << 60 })
	add("interface", func() {
		one := any(1)
		Maps.Any = map[int]any{1: one}
		*word(find(*(*uintptr)(unsafe.Pointer(&Maps.Any)), *(*uintptr)(unsafe.Pointer(&one)))) = nowhere
	})
	add("string", func() {
		key := "key"
		Maps.Words = map[string]int{key: 1}
		pair := *(*[2]uintptr)(unsafe.Pointer(&key))
		*word(find(*(*uintptr)(unsafe.Pointer(&Maps.Words)), pair[0]) + size) = 1 << 60
	})
	truth.Stages(stages...)

	for _, stage := range stages {
		Maps.Ints, Maps.Whole = map[int]int{}, map[int]int{1: 10, 2: 20}
		for i := 0; i < 100; i++ {
			Maps.Ints[i] = i
		}
		damage[stage]()
		truth.Publish(stage, truth.Of("main.Maps.Whole", Maps.Whole))
		stop(stage)
	}
	truth.Check(Nothing.Any == nil && Nothing.Pointer == nil && Nothing.Holder == nil && Nothing.Number == 0 && Nothing.Text == "", "nothing")
	truth.Done()
}

// find is where in the map's one bucket or group the pointer stands.
func find(header, pointer uintptr) uintptr {
	word := func(at uintptr) uintptr { return **(**uintptr)(unsafe.Pointer(&at)) }
	size := unsafe.Sizeof(header)
	bucket := word(header + 2*size) // hmap.buckets
	if truth.Swiss {
		bucket = word(header + 8 + size) // Map.dirPtr: the group of a small map
	}
	for offset := uintptr(0); offset < 8+8*3*size; offset += size {
		if word(bucket+offset) == pointer {
			return bucket + offset
		}
	}
	panic("the key is not where it should be")
}
