// Command churn writes to maps for as long as its input is open, each at a rate of
// its own, and counts what it does: for looking at maps while they change.
//
// It prints "ready" when all maps have their first entries. Rates[i].Len is len(Rates[i].M)
// but for the one operation that is under way; len(Flip) is 0 or 1, and Synced has
// first/10 entries or one more.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	first = 100_000
	most  = 1_500_000
)

// Rate is one map. Batch operations are done between two pauses; an insert is
// followed by the delete of the oldest entry, unless the map Grows.
type Rate struct {
	M     map[int]int
	Len   atomic.Int64
	Batch int
	Pause time.Duration
	Grows bool
}

// Rates are the maps: hardly written to, often, without a pause, and growing.
var Rates = [4]Rate{
	{Batch: 1, Pause: 20 * time.Millisecond},
	{Batch: 200, Pause: time.Millisecond},
	{Batch: 1},
	{Batch: 50, Pause: time.Millisecond, Grows: true},
}

// Flip gets an entry and loses it again, so that it is time and again what it was before.
var Flip = map[int]string{}

// Synced is a sync.Map whose oldest entry is deleted for each that is inserted.
var Synced sync.Map

// Damaged is never written to, and its header counts an entry that is not there.
var Damaged = map[int]int{1: 1, 2: 2, 3: 3}

func flip() {
	for i := 0; ; i++ {
		Flip[7] = "seven"
		delete(Flip, 7)
		if i%5000 == 0 {
			time.Sleep(200 * time.Microsecond)
		}
	}
}

func churnSynced() {
	for key := first / 10; ; key++ {
		Synced.Store(key, key)
		Synced.Delete(key - first/10)
		if key%2 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func (r *Rate) fill() {
	r.M = map[int]int{}
	for i := 0; i < first; i++ {
		r.M[i] = i
	}
	r.Len.Store(first)
}

func (r *Rate) churn() {
	for key := first; ; key++ {
		if r.Grows && key == most {
			return
		}
		r.M[key] = key
		r.Len.Store(int64(len(r.M)))
		if !r.Grows {
			delete(r.M, key-first)
			r.Len.Store(int64(len(r.M)))
		}
		if r.Pause > 0 && key%r.Batch == 0 {
			time.Sleep(r.Pause)
		}
	}
}

func main() {
	for i := range Rates {
		Rates[i].fill()
	}
	for i := range Rates {
		go Rates[i].churn()
	}
	for i := 0; i < first/10; i++ {
		Synced.Store(i, i)
	}
	**(**int)(unsafe.Pointer(&Damaged))++
	go flip()
	go churnSynced()
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	runtime.KeepAlive(&Rates)
}
