// Package cache has the name of another package.
package cache

// Item is what a cache holds.
type Item[T any] struct {
	Value T
	Uses  int
}

// New makes a cache of n items.
//
//go:noinline
func New[T any](n int, value T) map[string]Item[T] {
	items := map[string]Item[T]{}
	for i := 0; i < n; i++ {
		items[string(rune('a'+i))] = Item[T]{value, i}
	}
	return items
}
