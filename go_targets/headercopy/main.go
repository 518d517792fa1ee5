// Command headercopy copies a map's header through unsafe: two headers that share
// one array of buckets (one group or one directory). Nobody should do this.
//
// Stages:
//
//	copied    small and its copy, large and its copy
//	diverged  after an insert through smallCopy: small counts 2 entries, but its
//	          buckets hold 3 (published as torn)
package main

import (
	"runtime"
	"unsafe"

	"gomap.test/targets/truth"
)

// Keep holds what main's locals hold, for builds in which they are gone.
var Keep struct {
	Small, SmallCopy map[string]int
	Large, LargeCopy map[int]int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// header is as large as a map's header. All its words are pointers here, so that
// the collector keeps the buckets.
type header [truth.HeaderSize / unsafe.Sizeof(uintptr(0))]unsafe.Pointer

func main() {
	truth.Stages("copied", "diverged")
	small := map[string]int{"one": 1, "two": 2}
	large := map[int]int{}
	for i := 0; i < 1000; i++ {
		large[i] = -i
	}
	smallCopy, largeCopy := small, large
	copyHeader(unsafe.Pointer(&smallCopy))
	copyHeader(unsafe.Pointer(&largeCopy))
	Keep.Small, Keep.SmallCopy, Keep.Large, Keep.LargeCopy = small, smallCopy, large, largeCopy

	truth.Publish("copied",
		truth.Of("small", small), truth.Of("main.Keep.Small", small),
		truth.Of("smallCopy", smallCopy), truth.Of("main.Keep.SmallCopy", smallCopy),
		truth.Of("large", large), truth.Of("main.Keep.Large", large),
		truth.Of("largeCopy", largeCopy), truth.Of("main.Keep.LargeCopy", largeCopy))
	stop("copied")

	smallCopy["three"] = 3
	truth.Publish("diverged",
		truth.Of("smallCopy", smallCopy), truth.Of("main.Keep.SmallCopy", smallCopy),
		truth.Of("small", small).Torn(), truth.Of("main.Keep.Small", small).Torn())
	stop("diverged")

	truth.Check(len(small) == 2 && len(smallCopy) == 3 && len(large) == 1000 && largeCopy[999] == -999, "the maps")
	runtime.KeepAlive([]any{small, smallCopy, large, largeCopy})
	truth.Done()
}

// copyHeader makes the map variable at m point at a copy of its header.
func copyHeader(m unsafe.Pointer) {
	p := (**header)(m)
	c := new(header)
	*c = **p
	*p = c
}
