// Command pointers keeps addresses of all kinds, among them pointers into buckets
// that outlive a growth: scenario 16.
//
// Stages: current; growing, where classic maps have two arrays; freed, where
// nothing but a number is left of the old ones and two collections have run.
//
// Places holds addresses of all kinds. The notes say what lies at each: "key" and
// "elem" of which map and key, or something else by its name.
package main

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"gomap.test/targets/truth"
)

type wide [200]byte

// Keep holds the maps under the names that are published.
var Keep struct {
	Ints   map[int]int64
	Names  map[string]*int32
	Small  map[int32]bool
	Wide   map[wide]wide
	Large  map[int]int
	Sets   map[uint16]struct{}
	Number int
}

// Gone is a map that grows; Stale is where entry 1 was before that.
var (
	Gone   map[int]int64
	Stale  uintptr
	Places [64]uintptr
)

var told [][]any
var blocks [64]*[1000]byte
var finalized atomic.Int32

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// note adds the places of the last entry that a walk of m finds.
func note[M ~map[K]V, K comparable, V any](expr string, m M) {
	var lastKey *K
	var lastElem *V
	truth.EachSlot(m, func(key *K, elem *V) { lastKey, lastElem = key, elem })
	var printed any = *lastKey
	if reflect.TypeOf(printed).Kind() == reflect.Array {
		printed = nil
	}
	place("key", uintptr(unsafe.Pointer(lastKey)), expr, printed)
	place("elem", uintptr(unsafe.Pointer(lastElem))+unsafe.Sizeof(*lastElem)-1, expr, printed)
}

// place notes an address: its number in Places is that in the notes.
func place(what string, address uintptr, of ...any) {
	Places[len(told)] = address
	told = append(told, append([]any{what, truth.Hex(address)}, of...))
}

func tell() {
	truth.Note("places", told)
	told = nil
}

// elemOf is where the elem of key lies.
func elemOf(m map[int]int64, key int) (found *int64) {
	truth.EachSlot(m, func(k *int, v *int64) {
		if *k == key {
			found = v
		}
	})
	return found
}

//go:noinline
func parked(at chan uintptr, never chan bool) byte {
	var local [64]byte
	at <- uintptr(unsafe.Pointer(&local))
	<-never
	return local[len(never)]
}

func texts() []truth.Map {
	return []truth.Map{truth.Of("main.Keep.Ints", Keep.Ints), truth.Of("main.Keep.Names", Keep.Names),
		truth.Of("main.Keep.Small", Keep.Small), truth.Of("main.Keep.Wide", Keep.Wide),
		truth.Of("main.Keep.Large", Keep.Large), truth.Of("main.Gone", Gone)}
}

// old fills Gone until the next insert starts a growth, or has done one.
func old() {
	Gone = map[int]int64{}
	limit := 8
	if !truth.Swiss {
		limit = truth.LoadLimit(256)
	}
	for i := 0; i < limit; i++ {
		Gone[i] = int64(i)
	}
	Stale = uintptr(unsafe.Pointer(elemOf(Gone, 1)))
}

// lose frees every second block for good, and notes some of both.
func lose() {
	for i := range blocks {
		at := uintptr(unsafe.Pointer(blocks[i]))
		if i%2 == 0 {
			if i < 8 {
				place("kept", at)
			}
			continue
		}
		if i < 8 {
			place("freed", at)
		}
		runtime.SetFinalizer(blocks[i], func(*[1000]byte) { finalized.Add(1) })
		blocks[i] = nil
	}
}

// collect returns when the lost blocks are freed: their finalizers run in a goroutine of their own, whenever that
// gets a processor, and the collections after that free them.
func collect() {
	for until := time.Now().Add(time.Minute); finalized.Load() < int32(len(blocks)/2) && time.Now().Before(until); {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	for i := 0; i < 2; i++ {
		runtime.GC()
	}
}

func main() {
	truth.Stages("current", "growing", "freed")
	debug.SetGCPercent(-1)
	Keep.Ints, Keep.Names, Keep.Small = map[int]int64{}, map[string]*int32{}, map[int32]bool{}
	Keep.Wide, Keep.Large, Keep.Sets = map[wide]wide{}, map[int]int{}, map[uint16]struct{}{1: {}}
	for i := 0; i < 500; i++ {
		Keep.Ints[i] = int64(i)
		Keep.Names["name "+strconv.Itoa(i)] = new(int32)
	}
	for i := 0; i < 6; i++ {
		Keep.Small[int32(i)] = i%2 == 0
		Keep.Wide[wide{byte(i)}] = wide{byte(i)}
	}
	for i := 0; i < 100000; i++ {
		Keep.Large[i] = i
	}
	old()
	for i := range blocks {
		blocks[i] = new([1000]byte)
	}
	mapped, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	at, never := make(chan uintptr), make(chan bool)
	go parked(at, never)
	constant := "a constant of the program"
	header := *(*uintptr)(unsafe.Pointer(&Keep.Ints))
	shape := truth.Look(Keep.Small).Shape
	note("main.Keep.Ints", Keep.Ints)
	note("main.Keep.Names", Keep.Names)
	note("main.Keep.Small", Keep.Small)
	note("main.Keep.Wide", Keep.Wide)
	note("main.Keep.Large", Keep.Large)
	note("main.Gone", Gone)
	place("elem", Stale, "main.Gone", 1)
	place("header", header, "main.Keep.Ints")
	place("header", header+truth.HeaderSize-1, "main.Keep.Ints")
	// Small is one bucket, of which its header's first array tells the address.
	small := truth.Look(Keep.Small).Buckets.Address
	first, err := strconv.ParseUint(*small, 0, 64)
	if err != nil {
		panic(err)
	}
	place("mark", uintptr(first)+truth.MarkOffset(0), "main.Keep.Small", 0)
	place("mark", uintptr(first)+truth.MarkOffset(5), "main.Keep.Small", 5)
	place("last", uintptr(first)+shape.BucketSize-1, "main.Keep.Small")
	place("free slot", uintptr(first)+shape.ElemsOff+7*shape.ElemStride, "main.Keep.Small", 7)
	place("stack", <-at, "main.parked")
	place("global", address(&Keep.Number), "main.Keep")
	place("global", address(&Gone), "main.Gone")
	place("code", reflect.ValueOf(parked).Pointer(), "main.parked")
	place("constant", address(unsafe.StringData(constant)))
	place("mapped", address(&mapped[0]))
	size := cap(append([]byte(nil), make([]byte, 1000)...))
	place("object", address(blocks[0]), address(blocks[0]), size)
	place("object", address(blocks[2])+999, address(blocks[2]), size)
	tell()
	truth.Publish("current", texts()...)
	stop("current")

	Gone[-1] = -1
	note("main.Gone", Gone)
	place("stale", Stale)
	tell()
	truth.Publish("growing", texts()...)
	stop("growing")

	for i := 0; i < 2000; i++ {
		Gone[i] = int64(i)
	}
	note("main.Gone", Gone)
	place("stale", Stale)
	lose()
	tell()
	truth.Publish("freed", texts()...)
	collect()
	truth.Check(finalized.Load() == int32(len(blocks)/2), "the lost blocks")
	stop("freed")
	runtime.KeepAlive(constant)
	truth.Done()
}
