//go:build !noscan

package main

import _ "unsafe"

//go:linkname roundupsize runtime.roundupsize
func roundupsize(size uintptr) uintptr

func round(size uintptr, noscan bool) uintptr { return roundupsize(size) }
