package truth

import (
	"bytes"
	"runtime"
	"time"
)

// tracebacks is no object of the heap: that would bring on a collection.
var tracebacks [1 << 20]byte

// Parked returns when all goroutines but the caller's and as many others as are said to move on wait for something,
// or are in a system call. One that has told that it is about to wait may take long to do so on a busy machine, and
// until then its state, and what a debugger sees of its stack, are any.
func Parked(moving int) {
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		text := tracebacks[:runtime.Stack(tracebacks[:], true)]
		if bytes.Count(text, []byte("[running"))+bytes.Count(text, []byte("[runnable")) <= 1+moving {
			return
		}
		Check(time.Now().Before(until), "goroutines that should wait: "+string(text))
	}
}

// Room makes the stack of its caller's goroutine so large that nothing called later moves it: an address in it that
// is published stays true, as long as no collection makes the stack small again.
//
//go:noinline
func Room() {
	var room [32 << 10]byte
	use(&room)
}

//go:noinline
func use(room *[32 << 10]byte) { room[0] = room[len(room)-1] }
