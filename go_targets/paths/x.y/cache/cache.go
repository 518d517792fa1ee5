// Package cache is one of three of that name.
package cache

type Item[T any] struct {
	Value T
	Tags  map[string]T
}

var Maps = map[string]int{"x.y/cache": 1}
