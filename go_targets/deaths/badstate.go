package main

import (
	"fmt"
	"unsafe"

	"gomap.test/targets/truth"
)

//go:noinline
func label(name string) {
	Labels[name] = true
}

// badState gives a slot of an old bucket a tophash that none may have there, and has the bucket moved.
func badState() {
	for i := 0; i < 105; i++ { // with the 105th a growth to 32 buckets begins
		label(fmt.Sprint("c", i))
	}
	header := *(*unsafe.Pointer)(unsafe.Pointer(&Labels))
	B := *(*uint8)(unsafe.Add(header, unsafe.Sizeof(0)+1))
	old := *(*unsafe.Pointer)(unsafe.Add(header, unsafe.Sizeof(0)+8+unsafe.Sizeof(old0)))
	truth.Note("operation", "grow")
	truth.Publish("badstate", truth.Of("main.Labels", Labels))
	size := 8 + 8*unsafe.Sizeof("") + 8 + unsafe.Sizeof(old0)
	for b := uintptr(0); b < 1<<(B-1); b++ {
		if top := (*[8]uint8)(unsafe.Add(old, b*size)); top[0] >= 5 {
			top[1] = 3
		}
	}
	for i := 200; i < 260; i++ {
		label(fmt.Sprint("c", i))
	}
}

var old0 unsafe.Pointer
