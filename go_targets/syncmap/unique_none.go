//go:build !go1.23

package main

var handles []any

// makeUnique: there is no package unique.
func makeUnique() int { return 0 }
