// Package cache has the name of another.
package cache

type Item struct {
	N    int
	Pad  [4]int
	ByID map[int]string
}
