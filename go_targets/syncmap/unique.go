//go:build go1.23

package main

import "unique"

// Name is a type that only unique.Make has in a map.
type Name struct{ S, T string }

var handles []any

// makeUnique says how many values of type Name package unique has then: in a HashTrieMap in Go 1.23 and 1.24.
func makeUnique() int {
	for i := 0; i < 200; i++ {
		handles = append(handles, unique.Make(Name{"a name", string(rune('a' + i%150))}))
	}
	return 150
}
