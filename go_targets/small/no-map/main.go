package main // A map that leads to something else, as a result does before it is set.

import "unsafe"

var Junk = [16]uint64{9: 1}
var M map[int]int

//go:noinline
func stop() {}

func main() {
	for i := range Junk {
		Junk[i] = 0x4189374bc6a7ef9e
	}
	*(*unsafe.Pointer)(unsafe.Pointer(&M)) = unsafe.Pointer(&Junk)
	stop()
}
