//go:build go1.23

package main

import (
	"runtime"
	"strconv"
	"strings"
	"unique"
)

// Name is a type that only unique.Make has in a map.
type Name struct{ S, T string }

var handles []any

// makeUnique says how many values of type Name package unique has then: in a HashTrieMap in Go 1.23 and 1.24, which
// keeps those that are collected for a while, and in a canonMap from Go 1.25 on.
func makeUnique() int {
	for i := 0; i < 200; i++ {
		handles = append(handles, unique.Make(Name{"a name", string(rune('a' + i%150))}))
	}
	if version := runtime.Version(); !strings.HasPrefix(version, "go1.23") && !strings.HasPrefix(version, "go1.24") {
		drop(40)
		runtime.GC()
		runtime.GC()
	}
	return 150
}

//go:noinline
func drop(n int) {
	for i := 0; i < n; i++ {
		unique.Make(Name{"dropped", strconv.Itoa(i)})
	}
}
