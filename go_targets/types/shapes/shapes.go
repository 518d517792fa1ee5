// Package shapes holds types whose full name has a package path of several parts.
package shapes

// Key is a comparable struct.
type Key struct {
	ID   int32
	Name string
}

// Tag is a named string.
type Tag string

// Index is a named map type.
type Index map[Tag]Key
