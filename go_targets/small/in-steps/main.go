package main // A map that is another one at some stops, and one that never is.

import "runtime"

var Kept, Other = map[int]string{1: "one"}, map[string]int{"left": 7}

func main() {
	runtime.LockOSThread()
	runtime.Breakpoint()
	Kept[1] = "uno"
	runtime.Breakpoint()
	runtime.Breakpoint() // nothing was written
	Kept[2] = "two"
	delete(Kept, 1)
	runtime.Breakpoint()
}
