package truth

import (
	"reflect"
	"runtime"
	"unsafe"
)

// Hex is an address as it is published.
func Hex(address uintptr) string { return hex(address) }

// EachSlot calls see with the addresses of each live key and elem of m: of the slot,
// or of what it points to where keys or elems are stored indirectly.
func EachSlot[M ~map[K]V, K comparable, V any](m M, see func(key *K, elem *V)) {
	walk(reflect.TypeOf(m), *(*uintptr)(unsafe.Pointer(&m)),
		func(key, elem unsafe.Pointer) { see((*K)(key), (*V)(elem)) }, nil)
	runtime.KeepAlive(m)
}
