package own

import (
	"runtime"
	"strings"

	"gomap.test/targets/truth"
)

// Site is a line that allocated something, and what of that is in use.
type Site struct {
	Function string
	File     string
	Line     int
	Objects  int64
	Bytes    int64
}

// collected frees all that nothing leads to, and has the memory profile tell of the heap as it is then.
func collected() {
	for i := 0; i < 4; i++ {
		runtime.GC()
	}
}

// records has room before it is needed: nothing is allocated between the collection and the count.
var records = make([]runtime.MemProfileRecord, 50000)

func profile() []runtime.MemProfileRecord {
	truth.Check(runtime.MemProfileRate == 1, "GODEBUG=memprofilerate=1: every allocation is sampled")
	collected()
	n, ok := runtime.MemProfile(records, false)
	truth.Check(ok, "room for the memory profile")
	return records[:n]
}

// Headers is how many maps are on the heap: the objects in use that the runtime's functions that make a map allocated,
// by the memory profile. Nothing may run beside it.
func Headers() (found int64) {
	for _, record := range profile() {
		if record.InUseObjects() == 0 {
			continue
		}
		frames := runtime.CallersFrames(record.Stack())
		for {
			frame, more := frames.Next()
			if more && (strings.HasPrefix(frame.Function, "runtime.malloc") || allocates[frame.Function]) {
				continue // how much of the allocator is in the stack depends on what the compiler inlined
			}
			// A header is the one object of its size that these allocate: directories have powers of two.
			if makes[frame.Function] && record.InUseBytes()/record.InUseObjects() == 48 {
				found += record.InUseObjects()
			}
			break
		}
	}
	return found
}

var (
	allocates = map[string]bool{"runtime.newobject": true, "internal/runtime/maps.newobject": true}
	makes     = map[string]bool{"internal/runtime/maps.NewMap": true, "internal/runtime/maps.NewEmptyMap": true,
		"runtime.makemap_small": true, "runtime.makemap": true, "internal/runtime/maps.(*Map).Clone": true}
)

func begins(name string, with ...string) bool {
	for _, one := range with {
		if strings.HasPrefix(name, one) {
			return true
		}
	}
	return false
}

// Grown has the lines that allocated what maps and sync.Maps consist of.
func Grown() (found []Site) {
	sums := map[Site]*Site{}
	for _, record := range profile() {
		if record.InUseObjects() == 0 {
			continue
		}
		frames, ofMap := runtime.CallersFrames(record.Stack()), false
		for {
			frame, more := frames.Next()
			inside := begins(frame.Function, "internal/runtime/maps.", "internal/sync.(*HashTrieMap[", "sync.(*Map).")
			ofMap = ofMap || inside
			if more && (inside || begins(frame.Function, "runtime.", "internal/sync.")) {
				continue
			}
			if ofMap {
				key := Site{Function: frame.Function, File: frame.File, Line: frame.Line}
				if sums[key] == nil {
					sums[key] = &Site{Function: frame.Function, File: frame.File, Line: frame.Line}
				}
				sums[key].Objects += record.InUseObjects()
				sums[key].Bytes += record.InUseBytes()
			}
			break
		}
	}
	for _, one := range sums {
		found = append(found, *one)
	}
	return found
}

// Freed is by how many bytes change makes the heap smaller, at least and at most. They differ only where others
// allocate something in between: what stays of that makes the heap larger, what does not is freed as well.
//
//go:noinline
func Freed(change func()) (between [2]int64) {
	var before, begun, ended, after runtime.MemStats
	for i := 0; i == 0 || begun.TotalAlloc != before.TotalAlloc || begun.HeapAlloc != before.HeapAlloc; i++ {
		truth.Check(i < 1000, "a while in which nothing is allocated")
		before = begun // no garbage is left
		collected()
		runtime.ReadMemStats(&begun)
	}
	change()
	runtime.ReadMemStats(&ended)
	collected()
	runtime.ReadMemStats(&after)
	smaller := int64(before.HeapAlloc - after.HeapAlloc)
	others := int64(after.TotalAlloc-before.TotalAlloc) - int64(ended.TotalAlloc-begun.TotalAlloc)
	return [2]int64{smaller, smaller + others}
}

// Allocated is the bytes of all that run allocates, each time that it is called: the least of five, since others may
// allocate beside it.
//
//go:noinline
func Allocated(run func()) (least int64) {
	var before, after runtime.MemStats
	for i := 0; i < 5; i++ {
		runtime.ReadMemStats(&before)
		run()
		runtime.ReadMemStats(&after)
		if found := int64(after.TotalAlloc - before.TotalAlloc); i == 0 || found < least {
			least = found
		}
	}
	return least
}
