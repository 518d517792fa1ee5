//go:build !go1.23

package main

// memhashFallback of runtime/hash64.go multiplies by m1 to m4.
const constants = word == 8
