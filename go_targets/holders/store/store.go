// Package store has a name of its own.
package store

// Shelf is what a store has.
type Shelf[T any] struct{ Goods []T }

// New makes n shelves.
//
//go:noinline
func New[T any](n int) map[int]Shelf[T] {
	shelves := map[int]Shelf[T]{}
	for i := 0; i < n; i++ {
		shelves[i] = Shelf[T]{}
	}
	return shelves
}
