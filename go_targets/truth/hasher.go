package truth

import (
	"reflect"
	"unsafe"
)

// Hasher is the hash function that maps of type t use, with the seed as its second argument.
func Hasher(t reflect.Type) func(unsafe.Pointer, uintptr) uintptr {
	d := (*mapType)(unsafe.Pointer(descriptor(t)))
	checkDescriptor(t, d.key, d.elem)
	return d.hasher
}
