// Prints runtime.roundupsize as JSON, as the steps at which its answer changes: [first size, rounded size].
//
// For each toolchain of tests/support/data/roundup.json (GOARCH is amd64 or 386):
//
//	GOARCH=386 go1.27.3 run -tags noscan -ldflags=-checklinkname=0 ./tests/support/data/roundup
//
// Up to Go 1.21 there is no second argument: leave the tag and the flag away. empty.s is there because the
// compiler takes functions without a body only beside assembly.
package main

import (
	"encoding/json"
	"os"
	"runtime"
)

type output struct {
	Go      string       `json:"go"`
	Pointer int          `json:"pointer"`
	Scan    [][2]uintptr `json:"scan"`
	Noscan  [][2]uintptr `json:"noscan"`
}

func steps(noscan bool) [][2]uintptr {
	var found [][2]uintptr
	last := uintptr(0)
	for size := uintptr(1); size <= 3<<15; size++ {
		if rounded := round(size, noscan); rounded != last {
			found = append(found, [2]uintptr{size, rounded})
			last = rounded
		}
	}
	return found
}

func main() {
	out := output{runtime.Version(), 4 << (^uintptr(0) >> 63), steps(false), steps(true)}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}
