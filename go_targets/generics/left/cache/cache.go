// Package cache has the name of another.
package cache

type Item struct {
	Name string
	Size int
}
