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
	header := *(*unsafe.Pointer)(unsafe.Pointer(&Labels))
	var B uint8
	var old unsafe.Pointer
	for i := 0; B < 5 || old == nil; i++ { // a growth to 32 buckets has begun
		label(fmt.Sprint("c", i))
		B = *(*uint8)(unsafe.Add(header, unsafe.Sizeof(0)+1))
		old = *(*unsafe.Pointer)(unsafe.Add(header, unsafe.Sizeof(0)+8+unsafe.Sizeof(old)))
	}
	truth.Note("operation", "grow")
	truth.Publish("badstate", truth.Of("main.Labels", Labels))
	size := 8 + 8*unsafe.Sizeof("") + 8 + unsafe.Sizeof(old)
	for b := uintptr(0); b < 1<<(B-1); b++ {
		if top := (*[8]uint8)(unsafe.Add(old, b*size)); top[0] >= 5 {
			top[1] = 3
		}
	}
	for i := 1000; i < 1060; i++ {
		label(fmt.Sprint("c", i))
	}
}
