// Command origin knows the lines where it grew each of its maps, and what the
// heap profiler has of them.
//
// The notes of a stage: "rate", runtime.MemProfileRate as it is; "lines", by
// expression: for each line and stack that allocated something that is in use now
// its number of objects and their bytes as sampled, and as runtime/pprof scales
// them; "maps", the same of all maps, as their stacks say; "whole", expressions of
// maps all of whose memory was sampled; and "calls", a stack as runtime.Callers and
// runtime.CallersFrames have it.
//
// GOMAP_N small maps more, at the default rate, are for a benchmark.
//
// Stages:
//
//	every    runtime.MemProfileRate is 1 from the start: all allocations are sampled
//	default  it is 512 KiB: main.Keep.Large and Tiny were filled since
//	off      it is 0: main.Keep.Off was filled since
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"gomap.test/targets/truth"
)

// The first package variable that is set: what the others hold is sampled.
var _ = every()

func every() bool {
	runtime.MemProfileRate = 1
	return true
}

type (
	wideKey  [200]byte
	wideElem [150]byte
	site     struct {
		Function string
		File     string
		Line     int
	}
	// grown is what one stack at a line has allocated that is in use.
	grown struct {
		Site          site
		Caller        *site // of package main, where the line is elsewhere
		Count, Bytes  int64
		Objects, Size int64 // scaled
		Stack         []site
	}
)

// Keep has everything under a name that every build has.
var Keep struct {
	Ints    map[int]int
	Texts   map[string]string
	Wide    map[wideKey]wideElem
	Sets    map[uint64]struct{}
	Small   map[string]int
	Empty   map[string]int
	Put     map[string][40]byte
	Reflect map[int]string
	Cloned  map[string]string
	Decoded map[string]any
	Growing map[int]int
	Nil     map[int]int
	Large   map[int]int
	Tiny    map[int]int
	Off     map[int]int
	Sync    sync.Map
}

// lines has the lines where each map was made and grown; "encoding/json" for those in there.
var lines = map[string]map[string]bool{}

// here says that the line that lies so many below its caller's allocates for the map.
//
//go:noinline
func here(expr string, below int) {
	_, file, line, _ := runtime.Caller(1)
	note(expr, fmt.Sprintf("%s:%d", file, line+below))
}

func note(expr, at string) {
	if lines[expr] == nil {
		lines[expr] = map[string]bool{}
	}
	lines[expr][at] = true
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

//go:noinline
func first(m map[int]int, from, to int) {
	here("main.Keep.Ints", 2)
	for i := from; i < to; i++ {
		m[i] = i
	}
}

//go:noinline
func second(m map[int]int, from, to int) {
	here("main.Keep.Ints", 2)
	for i := from; i < to; i++ {
		m[i] = i
	}
}

var putLine = func() string {
	_, file, line, _ := runtime.Caller(0)
	return fmt.Sprintf("%s:%d", file, line+6)
}()

// put is inlined into its callers where the build is optimized.
func put[K comparable, V any](m map[K]V, k K, v V) {
	m[k] = v
}

func through[K comparable, V any](m map[K]V, keys []K, v V) {
	for _, k := range keys {
		put(m, k, v)
	}
}

//go:noinline
func fill(keys []string) {
	here("main.Keep.Ints", 1)
	Keep.Ints = make(map[int]int)
	first(Keep.Ints, 0, 3000)
	second(Keep.Ints, 3000, 7000)

	here("main.Keep.Texts", 1)
	Keep.Texts = make(map[string]string, 100)
	here("main.Keep.Texts", 2)
	for _, k := range keys {
		Keep.Texts[k] = k
	}

	here("main.Keep.Wide", 1)
	Keep.Wide = map[wideKey]wideElem{}
	here("main.Keep.Wide", 2)
	for i := 0; i < 60; i++ {
		Keep.Wide[wideKey{byte(i)}] = wideElem{}
	}
	delete(Keep.Wide, wideKey{3})

	here("main.Keep.Sets", 1)
	Keep.Sets = map[uint64]struct{}{}
	here("main.Keep.Sets", 2)
	for i := 0; i < 200; i++ {
		Keep.Sets[uint64(i)<<40] = struct{}{}
	}

	here("main.Keep.Small", 1)
	Keep.Small = map[string]int{}
	here("main.Keep.Small", 1)
	Keep.Small["one"] = 1

	here("main.Keep.Empty", 1)
	Keep.Empty = map[string]int{}

	here("main.Keep.Put", 1)
	Keep.Put = map[string][40]byte{}
	note("main.Keep.Put", putLine)
	through(Keep.Put, keys[:500], [40]byte{1})

	here("main.Keep.Reflect", 1)
	Keep.Reflect = map[int]string{}
	value, of, elem := reflect.ValueOf(Keep.Reflect), make([]reflect.Value, 100), reflect.ValueOf("a value")
	for i := range of {
		of[i] = reflect.ValueOf(i)
	}
	here("main.Keep.Reflect", 2)
	for _, k := range of {
		value.SetMapIndex(k, elem)
	}

	here("main.Keep.Cloned", 1)
	Keep.Cloned = maps.Clone(Keep.Texts)

	// A classic map that is amidst its growth, a Swiss map with one table.
	here("main.Keep.Growing", 1)
	Keep.Growing = map[int]int{}
	here("main.Keep.Growing", 2)
	for i := 0; i < 210; i++ {
		Keep.Growing[i] = i
	}

	decode(keys[:50])
	stored(keys[:40])
}

// decode has the standard library grow a map.
//
//go:noinline
func decode(keys []string) {
	text, err := json.Marshal(append([]string{}, keys...))
	truth.Check(err == nil, "json")
	text = []byte(strings.NewReplacer("[", "{", "]", "}", `",`, `":1,`, `"]`, `":1}`).Replace(string(text)))
	text = []byte(strings.Replace(string(text), `"}`, `":1}`, 1))
	note("main.Keep.Decoded", "encoding/json")
	err = json.Unmarshal(text, &Keep.Decoded)
	truth.Check(err == nil && len(Keep.Decoded) == len(keys), "json")
}

//go:noinline
func stored(keys []string) {
	boxed := make([]any, len(keys))
	for i, k := range keys {
		boxed[i] = k
	}
	here("main.Keep.Sync", 2)
	for _, k := range boxed {
		Keep.Sync.Store(k, k)
	}
	here("main.Keep.Sync", 2)
	for range boxed { // moves dirty to read, in the older generation
		Keep.Sync.Load("none")
	}
}

//go:noinline
func large(n int) {
	here("main.Keep.Large", 1)
	Keep.Large = map[int]int{}
	here("main.Keep.Large", 2)
	for i := 0; i < n; i++ {
		Keep.Large[i] = i
	}
	here("main.Keep.Large", 2)
	for i := n; i < 3*n/2; i++ {
		Keep.Large[i] = i
	}
}

// tiny is hardly ever sampled.
//
//go:noinline
func tiny() {
	here("main.Keep.Tiny", 1)
	Keep.Tiny = map[int]int{}
	here("main.Keep.Tiny", 1)
	Keep.Tiny[1] = 1
}

// Many has the maps of a benchmark.
var Many []map[string]int

//go:noinline
func many(n int) {
	for i := 0; i < n; i++ {
		m := map[string]int{}
		for k := 0; k < i%30; k++ {
			m[strconv.Itoa(k)] = k
		}
		Many = append(Many, m)
	}
}

var sink []byte

//go:noinline
func off() {
	sink = make([]byte, 100) // newer runtimes sample the first allocation after a change of the rate
	here("main.Keep.Off", 1)
	Keep.Off = map[int]int{}
	here("main.Keep.Off", 2)
	for i := 0; i < 1000; i++ {
		Keep.Off[i] = i
	}
}

// profile is the memory profile of what is in use, as it was at the last collection.
func profile() []runtime.MemProfileRecord {
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	n, ok := runtime.MemProfile(nil, false)
	for {
		found := make([]runtime.MemProfileRecord, n+100)
		if n, ok = runtime.MemProfile(found, false); ok {
			return found[:n]
		}
	}
}

// What the runtime's functions that allocate for a map begin with.
var ofMaps = []string{"runtime.mapassign", "runtime.makemap", "runtime.makeBucketArray", "runtime.hashGrow", "runtime.mapclone", "runtime.moveToBmap", "runtime.(*hmap).", "internal/runtime/maps.", "reflect.mapassign", "reflect.makemap", "maps.clone", "sync.(*Map).", "internal/sync.(*HashTrieMap["}

// Packages that operate on maps for others.
var between = []string{"runtime.", "internal/runtime/", "runtime/internal/", "reflect.", "internal/reflectlite.", "maps.", "iter.", "sync.", "internal/sync.", "internal/concurrent.", "unique.", "type:"}

func begins(function string, names []string) bool {
	for _, name := range names {
		if strings.HasPrefix(function, name) {
			return true
		}
	}
	return false
}

func stackOf(pcs []uintptr) (found []site) {
	frames := runtime.CallersFrames(pcs)
	for {
		frame, more := frames.Next()
		found = append(found, site{frame.Function, frame.File, frame.Line})
		if !more {
			return found
		}
	}
}

// scale is scaleHeapSample of runtime/pprof/protomem.go, of objects of one size.
func scale(count, size, rate int64) (int64, int64) {
	if count == 0 || size == 0 {
		return 0, 0
	}
	if rate <= 1 {
		return count, size
	}
	each := float64(size) / float64(count)
	scale := 1 / (1 - math.Exp(-each/float64(rate)))
	return int64(float64(count) * scale), int64(float64(size) * scale)
}

// records has what each map's lines have allocated, and all that was allocated by a
// function of the runtime's that is about maps.
func records(rate int) (found map[string][]grown, every []grown) {
	found = map[string][]grown{}
	for expr := range lines {
		found[expr] = []grown{}
	}
	for _, record := range profile() {
		if record.InUseObjects() == 0 {
			continue
		}
		stack := stackOf(record.Stack())
		at, caller, ofMap := -1, -1, false
		for i, call := range stack {
			ofMap = ofMap || at < 0 && begins(call.Function, ofMaps)
			if begins(call.Function, between) {
				continue
			}
			if at < 0 {
				at = i
			}
			if caller < 0 && strings.HasPrefix(call.Function, "main.") {
				caller = i
			}
		}
		if at < 0 {
			continue
		}
		one := grown{Site: stack[at], Count: record.InUseObjects(), Bytes: record.InUseBytes(), Stack: stack}
		if caller >= 0 && caller != at {
			one.Caller = &stack[caller]
		}
		one.Objects, one.Size = scale(one.Count, one.Bytes, int64(rate))
		if ofMap {
			every = append(every, one)
		}
		for expr, own := range lines {
			if own[fmt.Sprintf("%s:%d", one.Site.File, one.Site.Line)] || decodes(expr, stack) {
				found[expr] = append(found[expr], one)
			}
		}
	}
	return found, every
}

// decodes says whether the stack is of a map that encoding/json made or grew for expr.
func decodes(expr string, stack []site) bool {
	if !lines[expr]["encoding/json"] {
		return false
	}
	reflected, decode := false, false
	for _, call := range stack {
		name := strings.ToLower(call.Function)
		reflected = reflected || strings.HasPrefix(name, "reflect.") && strings.Contains(name, "map")
		decode = decode || call.Function == "encoding/json.Unmarshal"
	}
	return reflected && decode
}

func publish(stage string, whole ...string) {
	rate := runtime.MemProfileRate
	truth.Note("rate", rate)
	byExpr, every := records(rate)
	truth.Note("lines", byExpr)
	truth.Note("maps", every)
	truth.Note("whole", whole)
	truth.Note("calls", counters())
	truth.Publish(stage)
	onStack := map[int]int{1: rate} // does not escape
	stop(stage)
	truth.Check(onStack[1] == rate, "onStack")
}

func main() {
	truth.Stages("every", "default", "off")
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key ", i)
	}
	fill(keys)
	whole := []string{}
	for expr := range lines {
		whole = append(whole, expr)
	}
	publish("every", whole...)
	runtime.MemProfileRate = 512 << 10
	large(300000)
	tiny()
	if n, err := strconv.Atoi(os.Getenv("GOMAP_N")); err == nil {
		many(n)
	}
	publish("default")
	runtime.MemProfileRate = 0
	off()
	publish("off")
	truth.Done()
}
