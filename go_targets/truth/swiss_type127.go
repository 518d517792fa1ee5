//go:build go1.27

package truth

import (
	"reflect"
	"unsafe"
)

// mapType mirrors internal/abi.MapType from Go 1.27 on.
type mapType struct {
	abiType
	key, elem, group                                                 *abiType
	hasher                                                           func(unsafe.Pointer, uintptr) uintptr
	groupSize, keysOff, keyStride, elemsOff, elemStride, slotElemOff uintptr
	flags                                                            uint32
}

func shapeOf(t reflect.Type) Shape {
	d := (*mapType)(unsafe.Pointer(descriptor(t)))
	checkDescriptor(t, d.key, d.elem)
	return Shape{BucketSize: d.groupSize,
		KeysOff: d.keysOff, KeyStride: d.keyStride,
		ElemsOff: d.elemsOff, ElemStride: d.elemStride,
		IndirectKey: d.flags&4 != 0, IndirectElem: d.flags&8 != 0}
}
