//go:build go1.23

package main

import (
	"iter"
	"maps"
)

// newer are loops over maps.All, whose iterator is in a frame of maps.All's own
// function, and iter.Pull, whose is in a coroutine's.
func newer() []func() {
	return []func(){
		func() { all(Small) },
		func() { all(Large) },
		func() { pulled(Small) },
		func() { pulled(Large) },
	}
}

//go:noinline
func all(m map[string]int) {
	for key := range maps.All(m) {
		stands(m, "stack", key)
		waits()
	}
}

// sequence is maps.All, with a word to the tests: its iterator is the coroutine's.
func sequence(m map[string]int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for key := range m {
			stands(m, "stack", key)
			if !yield(key) {
				return
			}
		}
	}
}

//go:noinline
func pulled(m map[string]int) {
	next, end := iter.Pull(sequence(m))
	defer end()
	next()
	waits()
}
