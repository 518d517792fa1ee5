// Command retained measures how many bytes a collection frees when one thing is dropped.
//
// At stage "held" everything is there. The note "maps" has the addresses of maps' headers by name, and so has At of those
// that no variable with a type leads to; the note "garbage" has address, type and length of maps that were dropped and
// not collected, "inside" those of maps that an object leads to, and no variable. Afterwards one thing after another is dropped and the heap collected: the note
// "freed" of stage "dropped" has how many bytes less the program then says it has allocated
// (runtime.MemStats.HeapAlloc).
//
// With GOMAP_DUMP set it writes what the runtime says of the heap (debug.WriteHeapDump) to that file at the first stage,
// says "ready", and waits until its input ends.
//
// Stages: held, dropped.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"gomap.test/targets/truth"
)

type (
	entry struct {
		name  string
		parts []int
		next  *entry
	}
	cache struct {
		pad     [3]int
		entries map[string]*entry
	}
	// large types have masks that are made when they are needed.
	large struct {
		text  [300]string
		more  [40]struct{ a, b, c any }
		names map[int]string
		pad   [9000]int
		last  *entry
	}
	// dense and sparse objects take each other's place; the numbers of sparse ones are addresses.
	dense  [256]*entry
	sparse struct {
		first   *entry
		numbers [255]uintptr
	}
	// hidden has maps whose keys and elems have the same sizes.
	hidden struct {
		pad    [100]*entry
		first  map[int]int
		second map[uint]int
		list   []map[int]uint
		inner  map[string]map[uint]uint
	}
	resource struct {
		handle int
		own    map[string]int
		next   *resource
	}
)

// Typed leads to maps by variables with types, Untyped by none.
var (
	Typed   = map[string]map[string]*entry{}
	Caches  []*cache
	Both    [2]map[int]string
	Any     any
	Untyped unsafe.Pointer
	Hidden  unsafe.Pointer
	Large   *large
	Deep    *entry
	Lists   [][]*entry
	Sized   []any
	sink    any

	// At has addresses of maps; to the collector they are numbers.
	At struct{ Untyped, Worker, Object, Deferred, Cleaned, Finalized, Lost uintptr }

	maps    = map[string]string{}
	garbage [][3]any
	inside  [][3]any
	freed   = map[string]uint64{}
	wait    = make(chan int)
	begun   = make(chan int)
	ended   = make(chan int)
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func header[K comparable, V any](m map[K]V) uintptr { return *(*uintptr)(unsafe.Pointer(&m)) }

// note publishes where a map is.
func note[K comparable, V any](name string, m map[K]V) map[K]V {
	maps[name] = truth.Hex(header(m))
	places := map[string]*uintptr{"untyped": &At.Untyped, "worker": &At.Worker, "object": &At.Object,
		"deferred": &At.Deferred, "cleaned": &At.Cleaned, "finalized": &At.Finalized, "lost": &At.Lost}
	if at := places[name]; at != nil {
		*at = header(m)
	}
	return m
}

// listed publishes the type of a map that only an object of known type points to.
func listed[K comparable, V any](m map[K]V) map[K]V {
	inside = append(inside, [3]any{truth.Hex(header(m)), fmt.Sprintf("%T", m), len(m)})
	return m
}

//go:noinline
func filled(n int, size int) map[string]*entry {
	m := map[string]*entry{}
	var before *entry
	for i := 0; i < n; i++ {
		before = &entry{name: strconv.Itoa(i) + "th entry, longer than the smallest objects are", parts: make([]int, size), next: before}
		m["key "+strconv.Itoa(i)+" that is no tiny object"] = before
	}
	return m
}

//go:noinline
func numbers(n int) map[int]string {
	m := map[int]string{}
	for i := 0; i < n; i++ {
		m[i] = "value " + strconv.Itoa(i) + " that is no tiny object"
	}
	return m
}

// work holds a map in its frame alone while it waits.
//
//go:noinline
func work(m map[string]*entry) {
	begun <- 1
	<-wait
	sink = len(m)
	ended <- 1
}

// object holds a map in a variable of its stack whose address was taken.
//
//go:noinline
func object(m map[int]string) {
	c := struct {
		n    int
		m    map[int]string
		next *cache
	}{1, m, nil}
	see(&c.n)
	begun <- 1
	<-wait
	see(&c.n)
	sink = len(c.m)
	ended <- 1
}

//go:noinline
func see(n *int) { *n++ }

// deferred holds a map in a deferred call alone.
//
//go:noinline
func deferred(m map[int]string) {
	for i := 0; i < 2; i++ {
		defer func() { sink = len(m) + i }()
	}
	begun <- 1
	<-wait
	ended <- 1
}

// collected is how many bytes of objects there are when what is dead was freed.
func collected() uint64 {
	var stats runtime.MemStats
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// drop measures what is freed without that which the function drops.
func drop(name string, what func()) {
	before := collected()
	what()
	freed[name] = before - collected()
}

//go:noinline
func make_() {
	Typed["first"] = note("typed", filled(100, 7))
	Typed["second"] = note("typed-2", filled(5, 300))
	for i := 0; i < 3; i++ {
		Caches = append(Caches, &cache{entries: note("cache-"+strconv.Itoa(i), filled(10*i+3, 20))})
	}
	Both[0] = note("both", numbers(40))
	Both[1] = Both[0]
	Any = note("any", numbers(3000))
	untyped := note("untyped", filled(20, 9000))
	Untyped = *(*unsafe.Pointer)(unsafe.Pointer(&untyped))
	Hidden = unsafe.Pointer(&hidden{
		first:  listed(map[int]int{1: 2, 3: 4, 5: 6}),
		second: listed(map[uint]int{1: 2, 3: 4, 5: 6}),
		list:   []map[int]uint{listed(map[int]uint{1: 2, 3: 4, 5: 6})},
		inner:  listed(map[string]map[uint]uint{"in": listed(map[uint]uint{1: 2, 3: 4, 5: 6})}),
	})
	Large = &large{names: note("large", numbers(9)), last: &entry{name: "last"}}
	for i := 0; i < 40; i++ {
		Large.more[i].b = note("large-"+strconv.Itoa(i), numbers(i%5+1))
		Large.text[7*i] = "text " + strconv.Itoa(i) + " that is no tiny object"
	}
	for i := 0; i < 5000; i++ {
		Deep = &entry{next: Deep}
	}
	for i := 1; i < 1500; i += 167 {
		list := make([]*entry, i)
		for j := range list {
			list[j] = &entry{name: strconv.Itoa(j) + " in a list, longer than the smallest", parts: make([]int, i)}
		}
		Lists = append(Lists, list)
		Sized = append(Sized, make([]byte, 3*i), make([]struct {
			a int
			b *entry
			c [5]int
		}, i/5+1))
	}
	replaced()
	withFinalizer()
}

// replaced makes objects with few pointers where others had many, and what looks like pointers in place of these.
//
//go:noinline
func replaced() {
	one := &entry{name: "pointed to"}
	for i := 0; i < 100; i++ {
		d := new(dense)
		for j := range d {
			d[j] = one
		}
		if i%4 == 0 {
			Sized = append(Sized, d) // its span is kept
		}
		sink = d
	}
	sink = nil
	collected()
	for i := 0; i < 50; i++ {
		s := &sparse{first: one}
		for j := range s.numbers {
			s.numbers[j] = uintptr(unsafe.Pointer(one))
		}
		Sized = append(Sized, s)
	}
}

// withFinalizer makes objects that only what the runtime keeps for finalizers leads to.
//
//go:noinline
func withFinalizer() {
	r := &resource{own: note("finalized", map[string]int{"finalizer": 1}), next: &resource{handle: 2}}
	runtime.SetFinalizer(r, func(r *resource) { sink = r.next })
	Sized = append(Sized, r)
	withCleanup()
}

// lose makes an object that only its finalizer gets once more.
//
//go:noinline
func lose() {
	r := &resource{own: note("lost", map[string]int{"lost": 1})}
	runtime.SetFinalizer(r, func(r *resource) { sink = r.next })
}

// throw makes maps that nothing leads to when it has returned, but for each other.
//
//go:noinline
func throw() {
	outer := map[string]map[int]int{}
	for i := 0; i < 30; i++ {
		inner := map[int]int{}
		for j := 0; j < 7*i; j++ {
			inner[j] = i
		}
		outer[strconv.Itoa(i)] = inner
		if i > 0 {
			thrown(inner)
		}
	}
	thrown(outer)
	thrown(filled(300, 3))
	thrown(numbers(2000))
	thrown(map[any]struct{ a, b int }{"any": {1, 2}, 3: {3, 4}})
}

func thrown[K comparable, V any](m map[K]V) {
	garbage = append(garbage, [3]any{truth.Hex(header(m)), fmt.Sprintf("%T", m), len(m)})
}

func main() {
	truth.Stages("held", "dropped")
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(1)
	done := make(chan int)
	go func() {
		make_()
		done <- 1
	}()
	<-done
	started(func() { work(note("worker", filled(30, 50))) })
	started(func() { object(note("object", numbers(25))) })
	started(func() { deferred(note("deferred", numbers(35))) })
	truth.Parked(0)
	for i := 0; i < 3; i++ {
		collected()
	}
	lose()
	go func() {
		throw()
		done <- 1
	}()
	<-done
	dump()
	truth.Note("maps", maps)
	truth.Note("garbage", garbage)
	truth.Note("inside", inside)
	truth.Publish("held")
	stop("held")
	for i := 0; i < 3; i++ {
		collected()
	}
	drop("nothing", func() {})
	drop("typed", func() { delete(Typed, "first") })
	drop("typed-2", func() { delete(Typed, "second") })
	drop("cache-2", func() { Caches[2].entries = nil })
	drop("one-of-both", func() { Both[0] = nil })
	drop("both", func() { Both[1] = nil })
	drop("any", func() { Any = nil })
	drop("untyped", func() { Untyped = nil })
	drop("large", func() { Large.names = nil })
	drop("large-7", func() { Large.more[7].b = nil })
	drop("large-39", func() { Large.more[39].b = nil })
	for _, name := range []string{"worker", "object"} {
		drop(name, func() {
			wait <- 1
			<-ended
		})
	}
	runtime.KeepAlive(Large)
	truth.Note("freed", freed)
	truth.Publish("dropped")
	stop("dropped")
	wait <- 1
	<-ended
	truth.Done()
}

// started runs it on a goroutine of its own until that waits.
//
//go:noinline
func started(run func()) {
	go run()
	<-begun
}

// dump writes what the runtime itself says of the heap.
func dump() {
	path := os.Getenv("GOMAP_DUMP")
	if path == "" {
		return
	}
	file, err := os.Create(path)
	truth.Check(err == nil, "a file for the heap's dump")
	fd, input := file.Fd(), make([]byte, 1)
	fmt.Println("ready")
	// From here on nothing is allocated.
	debug.WriteHeapDump(fd)
	syscall.Write(1, said)
	syscall.Read(0, input)
	os.Exit(0)
}

var said = []byte("dumped\n")
