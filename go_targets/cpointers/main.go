//go:build cgo

// Command cpointers has a map whose values point to C's memory: scenario 16.
//
// Stage: main. The notes have what is in Places: the addresses of C's strings. Behind it C frees them.
package main

/*
#include <stdlib.h>
*/
import "C"

import (
	"runtime"
	"strconv"
	"unsafe"

	"gomap.test/targets/truth"
)

// Strings belong to C: the collector knows nothing of them.
var Strings = map[string]*C.char{}

// Places are where its values point to.
var Places [20]uintptr

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("main")
	var places [][]any
	lengths := map[string]int{}
	for i := 0; i < 20; i++ {
		key := "key " + strconv.Itoa(i)
		Strings[key] = C.CString("value " + strconv.Itoa(i))
		Places[i] = uintptr(unsafe.Pointer(Strings[key]))
		places = append(places, []any{"c", truth.Hex(Places[i])})
		lengths[key] = len(key)
	}
	truth.Note("places", places)
	truth.Publish("main", truth.Of("main.Strings", Strings))
	stop("main")
	for _, text := range Strings {
		C.free(unsafe.Pointer(text))
	}
	truth.Check(len(lengths) == 20, "the lengths")
	truth.Done()
}
