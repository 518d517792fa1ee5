package main // A local with the name of its package: Keep has one entry in the package, and two in the local.

import "runtime"

var Keep = map[string]int{"package": 1}

//go:noinline
func stop() {}

func main() {
	type holder struct{ Keep, Other map[string]int }
	main := &holder{map[string]int{"a": 1, "b": 2}, map[string]int{"a": 1, "b": 2, "c": 3}}
	stop()
	runtime.KeepAlive(main)
}
