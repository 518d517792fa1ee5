//go:build (go1.26 || goexperiment.swissmap) && !go1.27

package truth

import (
	"reflect"
	"unsafe"
)

const groupLayout = "interleaved"

// mapType mirrors internal/abi.SwissMapType (MapType from Go 1.26 on).
type mapType struct {
	abiType
	key, elem, group             *abiType
	hasher                       func(unsafe.Pointer, uintptr) uintptr
	groupSize, slotSize, elemOff uintptr
	flags                        uint32
}

func shapeOf(t reflect.Type) Shape {
	d := (*mapType)(unsafe.Pointer(descriptor(t)))
	checkDescriptor(t, d.key, d.elem)
	return Shape{BucketSize: d.groupSize,
		KeysOff: 8, KeyStride: d.slotSize,
		ElemsOff: 8 + d.elemOff, ElemStride: d.slotSize,
		IndirectKey: d.flags&4 != 0, IndirectElem: d.flags&8 != 0}
}
