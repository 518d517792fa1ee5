// Command pointers keeps addresses of all kinds, among them pointers into buckets
// that outlive a growth: scenario 16.
//
// Stages: current; growing, where classic maps have two arrays; freed, where
// nothing but a number is left of the old ones and two collections have run.
//
// The notes have, under "slots", [map, key, address of the key, address of the
// elem] of live entries, and under "places" addresses by the name of what is there.
package main

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
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

// Gone is a map that grows; Stale and Old are where entry 1 was before that. Held
// is a pointer to Old's neighbour that the collector sees.
var (
	Gone  map[int]int64
	Stale uintptr
	Held  *int64
)

var freed, kept [64]uintptr
var blocks [64]*[1000]byte
var finalized int

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func address[T any](p *T) string { return truth.Hex(uintptr(unsafe.Pointer(p))) }

// note adds the places of a map's first entries.
func note[M ~map[K]V, K comparable, V any](to *[][4]any, expr string, m M) {
	left := 40
	truth.EachSlot(m, func(key *K, elem *V) {
		if left--; left >= 0 {
			var printed any = *key
			if reflect.TypeOf(printed).Kind() == reflect.Array {
				printed = nil
			}
			*to = append(*to, [4]any{expr, printed, address(key), address(elem)})
		}
	})
}

func slots() [][4]any {
	var found [][4]any
	note(&found, "main.Keep.Ints", Keep.Ints)
	note(&found, "main.Keep.Names", Keep.Names)
	note(&found, "main.Keep.Small", Keep.Small)
	note(&found, "main.Keep.Wide", Keep.Wide)
	note(&found, "main.Keep.Large", Keep.Large)
	note(&found, "main.Gone", Gone)
	return found
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
func parked(told chan uintptr, never chan bool) byte {
	var local [64]byte
	told <- uintptr(unsafe.Pointer(&local))
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

// lose frees every second block for good.
func lose() {
	for i := range blocks {
		at := uintptr(unsafe.Pointer(blocks[i]))
		if i%2 == 0 {
			kept[i] = at
			continue
		}
		freed[i] = at
		runtime.SetFinalizer(blocks[i], func(*[1000]byte) { finalized++ })
		blocks[i] = nil
	}
}

func collect() {
	for i := 0; i < 4; i++ {
		runtime.GC()
		runtime.Gosched()
	}
}

func listed(addresses []uintptr) (found []string) {
	for _, address := range addresses {
		if address != 0 {
			found = append(found, truth.Hex(address))
		}
	}
	return found
}

func main() {
	truth.Stages("current", "growing", "freed")
	debug.SetGCPercent(-1)
	k := &Keep
	k.Ints, k.Names, k.Small = map[int]int64{}, map[string]*int32{}, map[int32]bool{}
	k.Wide, k.Large, k.Sets = map[wide]wide{}, map[int]int{}, map[uint16]struct{}{1: {}}
	for i := 0; i < 500; i++ {
		k.Ints[i] = int64(i)
		k.Names["name "+strconv.Itoa(i)] = new(int32)
	}
	for i := 0; i < 6; i++ {
		k.Small[int32(i)] = i%2 == 0
		k.Wide[wide{byte(i)}] = wide{byte(i)}
	}
	for i := 0; i < 100000; i++ {
		k.Large[i] = i
	}
	old()
	for i := range blocks {
		blocks[i] = new([1000]byte)
	}
	mapped, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	told, never := make(chan uintptr), make(chan bool)
	go parked(told, never)
	constant := "a constant of the program"
	places := map[string]any{
		"stack":     truth.Hex(<-told),
		"global":    address(&Keep.Number),
		"variable":  address(&Gone),
		"code":      truth.Hex(reflect.ValueOf(parked).Pointer()),
		"constant":  truth.Hex(uintptr(unsafe.Pointer(unsafe.StringData(constant)))),
		"mapped":    address(&mapped[0]),
		"object":    address(blocks[0]),
		"inside":    truth.Hex(uintptr(unsafe.Pointer(blocks[2])) + 999),
		"bytes":     cap(append([]byte(nil), make([]byte, 1000)...)),
		"chan":      truth.Hex(**(**uintptr)(unsafe.Pointer(&[]*chan bool{&never}[0]))),
		"headerEnd": truth.Hex(*(*uintptr)(unsafe.Pointer(&k.Ints)) + truth.HeaderSize - 1),
	}
	truth.Note("places", places)
	truth.Note("slots", slots())
	truth.Note("stale", truth.Hex(Stale))
	truth.Publish("current", texts()...)
	stop("current")

	Gone[-1] = -1
	truth.Note("stale", truth.Hex(Stale))
	truth.Note("slots", slots())
	truth.Publish("growing", texts()...)
	stop("growing")

	for i := 0; i < 2000; i++ {
		Gone[i] = int64(i)
	}
	truth.Note("slots", slots())
	truth.Note("stale", truth.Hex(Stale))
	lose()
	truth.Note("freed", listed(freed[:]))
	truth.Note("kept", listed(kept[:]))
	truth.Publish("freed", texts()...)
	collect()
	truth.Check(finalized == len(blocks)/2, "the lost blocks")
	stop("freed")
	runtime.KeepAlive(constant)
	truth.Done()
}
