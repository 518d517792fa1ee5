// Command breaks writes to three maps in every way, on several threads at once, and notes each write with what it was: for
// hmap-break. Other maps are written to at the same time.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"gomap.test/targets/truth"
)

type Point struct {
	X, Y int32
	Name string
}

// What a debugger asks for by name.
var (
	Kept   = map[string]int{}
	Ints   = map[int]int{}
	Points = map[Point]int{}
	None   map[int]int
	Synced sync.Map
)

// Done is one write. What: insert, overwrite, delete, absent (a delete of a key that is not there) or clear. Entries: of
// the map after it.
type Done struct {
	Map       string `json:"map"`
	What      string `json:"what"`
	Key       string `json:"key"`
	Goroutine int    `json:"goroutine"`
	Function  string `json:"function"`
	Line      int    `json:"line"`
	Entries   int    `json:"entries"`
	// Entries when it grew; -1 where it did not.
	Grew int `json:"grew"`
}

var (
	lock sync.Mutex
	done = []Done{}
)

// line is where its caller is.
func line() int {
	_, _, at, _ := runtime.Caller(1)
	return at
}

func goroutine() (id int) {
	var text [64]byte
	fmt.Sscanf(string(text[:runtime.Stack(text[:], false)]), "goroutine %d ", &id)
	return id
}

// note makes one write and notes what it was. write: the line that does it. It may be inlined, and its callers may.
func note[K comparable](name string, m map[K]int, key K, growing *truth.Growing, function string, write func() int) {
	lock.Lock()
	defer lock.Unlock()
	_, had := m[key]
	before, grown := len(m), len(growing.Made)
	growing.Look(before)
	at := write()
	one := Done{name, "", strings.TrimPrefix(fmt.Sprintf("%#v", key), "main.Point"), goroutine(), "main." + function, at, len(m), -1}
	switch {
	case function == "wipe"+name:
		one.What, one.Key = "clear", ""
	case function == "drop"+name || function == "unset":
		one.What = "absent"
		if had {
			one.What = "delete"
		}
	default:
		one.What = "insert"
		if had {
			one.What = "overwrite"
		}
		// In Go 1.24 to 1.26 an overwrite makes a full map of one group grow, too.
		growing.Wrote(len(m), one.Goroutine, one.Function, at)
	}
	if len(growing.Made) > grown {
		one.Grew = growing.Made[grown].Entries
	}
	done = append(done, one)
}

func setKept(k string, v int) int { Kept[k] = v; return line() }

func dropKept(k string) int { delete(Kept, k); return line() }

func wipeKept() int { clear(Kept); return line() }

//go:noinline
func setInts(k, v int) int { Ints[k] = v; return line() }

//go:noinline
func dropInts(k int) int { delete(Ints, k); return line() }

func wipeInts() int { clear(Ints); return line() }

func setPoints(k Point, v int) int { Points[k] += v; return line() }

func dropPoints(k Point) int { delete(Points, k); return line() }

func wipePoints() int { clear(Points); return line() }

// put and unset write by way of reflect, whose functions are not the program's own.
func put(m, k any) int {
	reflect.ValueOf(m).SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(1))
	return line() - 1
}

func unset(m, k any) int {
	reflect.ValueOf(m).SetMapIndex(reflect.ValueOf(k), reflect.Value{})
	return line() - 1
}

// ways is how one map is written to.
type ways[K comparable] struct {
	name string
	m    map[K]int
	key  func(i int) K
	set  func(k K, v int) int
	drop func(k K) int
	wipe func() int
	seen *truth.Growing
}

func (w *ways[K]) insert(i int) {
	w.note(i, "set"+w.name, func() int { return w.set(w.key(i), i) })
}

func (w *ways[K]) remove(i int) {
	w.note(i, "drop"+w.name, func() int { return w.drop(w.key(i)) })
}

func (w *ways[K]) clear() {
	w.note(0, "wipe"+w.name, w.wipe)
}

func (w *ways[K]) note(i int, function string, write func() int) {
	note(w.name, w.m, w.key(i), w.seen, function, write)
}

// share is what one of several goroutines does.
func (w *ways[K]) share(n int) {
	for i := n * 100; i < n*100+9; i++ {
		w.insert(i)
		if i%3 == 0 {
			w.insert(i)
		}
		if i%4 == 0 {
			w.remove(i)
			w.remove(i)
		}
		runtime.Gosched()
	}
}

// last is what is done when the map has no other writer.
func (w *ways[K]) last() {
	for i := 200; i < 203; i++ {
		w.note(i, "put", func() int { return put(w.m, w.key(i)) })
	}
	w.note(201, "unset", func() int { return unset(w.m, w.key(201)) })
	w.clear()
	// The map's header and the place of the key are as they were at the write before.
	w.insert(0)
	w.insert(0)
	for n := 0; n < 2; n++ {
		w.insert(1)
		w.remove(1)
	}
	for i := 0; i < 4; i++ {
		w.insert(i)
	}
	for i := 0; i < 4; i++ {
		w.remove(i)
	}
	for i := 0; i < 20; i++ {
		w.insert(i)
	}
	w.clear()
	w.insert(5)
}

// others writes to maps that nobody asks about.
func others() {
	m, s := map[int]int{}, map[string]int{}
	for i := 0; i < 150; i++ {
		m[i%50], s[fmt.Sprint(i%50)] = i, i
		delete(m, i%20)
		if i%100 == 99 {
			clear(s)
		}
		runtime.Gosched()
	}
}

// stop is where a debugger stops the program: Cooperative, at a breakpoint of its own.
//
//go:noinline
func stop() {
	if !truth.Cooperative {
		runtime.Breakpoint()
	}
}

func work[K comparable](w *ways[K]) {
	w.seen = truth.Watch(w.m)
	var all sync.WaitGroup
	go others()
	for n := 0; n < 3; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			if n > 0 {
				runtime.LockOSThread()
			}
			w.share(n)
		}(n)
	}
	all.Wait()
	w.last()
}

func main() {
	debug.SetGCPercent(-1) // what was replaced keeps its address
	if !truth.Cooperative {
		runtime.GOMAXPROCS(4)
	}
	Synced.Store(1, 1)
	stop()
	work(&ways[string]{name: "Kept", m: Kept, key: func(i int) string { return fmt.Sprint("key ", i) },
		set: setKept, drop: dropKept, wipe: wipeKept})
	work(&ways[int]{name: "Ints", m: Ints, key: func(i int) int { return i * 7919 },
		set: setInts, drop: dropInts, wipe: wipeInts})
	work(&ways[Point]{name: "Points", m: Points, key: func(i int) Point { return Point{int32(i), -1, fmt.Sprint(i)} },
		set: setPoints, drop: dropPoints, wipe: wipePoints})
	file, err := os.Create(os.Getenv("GOMAP_TRUTH"))
	if err != nil {
		panic(err)
	}
	json.NewEncoder(file).Encode(done)
	file.Close()
	stop()
}
