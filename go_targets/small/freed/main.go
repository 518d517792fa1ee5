package main // Maps whose memory becomes something else; one whose header lies on a stack; what can't be watched.

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"
)

var (
	Kept   = make(map[int]int)
	Other  = make(map[int]int)
	Third  = make(map[int]int)
	None   map[int]int
	Synced sync.Map
	keep   []map[int]int
)

func header(m map[int]int) uintptr { return *(*uintptr)(unsafe.Pointer(&m)) }

//go:noinline
func local(n int) int {
	m := map[int]int{}
	m[n] = n
	runtime.Breakpoint()
	m[n+1] = n
	return len(m)
}

// scribble is what no map function does to a header.
//
//go:noinline
func scribble(m map[int]int) { *(*int)(unsafe.Pointer(header(m))) = 5 }

func main() {
	Synced.Store(1, 1)
	Kept[1], Other[1], Third[1] = 1, 1, 1
	fmt.Fprintln(os.Stderr, local(1), len(None))
	scribble(Other)
	old := header(Kept)
	Kept = nil
	runtime.GC()
	runtime.GC()
	for i := 0; i < 1<<17; i++ {
		m := make(map[int]int)
		keep = append(keep, m)
		if header(m) == old {
			m[7] = 7
			fmt.Println("another map is there")
			break
		}
	}
	runtime.Breakpoint()
}
