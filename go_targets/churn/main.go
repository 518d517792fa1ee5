// Command churn writes to maps for as long as its input is open, each at a rate of
// its own, and counts what it does: for looking at maps while they change.
//
// It prints "ready" when all maps have their first entries. Rates[i].Len is len(Rates[i].M)
// but for the one operation that is under way.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
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
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	runtime.KeepAlive(&Rates)
}
