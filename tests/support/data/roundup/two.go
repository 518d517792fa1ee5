//go:build noscan

package main

import _ "unsafe"

//go:linkname round runtime.roundupsize
func round(size uintptr, noscan bool) uintptr
