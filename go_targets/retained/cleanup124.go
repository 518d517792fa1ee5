//go:build go1.24

package main

import (
	"runtime"
	"weak"
)

var Weak weak.Pointer[resource]

// withCleanup makes an object with a cleanup, whose function alone leads to a map, and a weak pointer.
//
//go:noinline
func withCleanup() {
	r, m := &resource{handle: 3}, note("cleaned", map[int]string{1: "cleanup"})
	runtime.AddCleanup(r, func(i int) { sink = m[i] }, 1)
	Weak = weak.Make(r)
	Sized = append(Sized, r)
}
