package truth

import (
	"reflect"
	"unsafe"
)

// slowed keeps alive the types that Slowed made: an interface's type word does not.
var slowed []unsafe.Pointer

// Slowed is the map m under a type of its own, whose keys are compared by equal
// and, unless hash is nil, hashed by hash. Operations through it are the runtime's
// slow paths on the same header: equal and hash are called from inside them, and
// as long as they do not return the goroutine stays in the middle of the operation.
func Slowed[V any](m map[string]V, equal func(p, q unsafe.Pointer) bool, hash func(p unsafe.Pointer, seed uintptr) uintptr) reflect.Value {
	const named, uncommon = 4, 1 // abi.TFlagNamed, abi.TFlagUncommon
	t := *(*mapType)(unsafe.Pointer(descriptor(reflect.TypeOf(m))))
	key := *t.key
	// An unnamed key type is not the string type, so reflect takes no fast path,
	// and strings are assignable to it.
	key.tflag &^= named | uncommon
	key.equal = equal
	t.key = &key
	if hash != nil {
		t.hasher = hash
	}
	slowed = append(slowed, unsafe.Pointer(&t), unsafe.Pointer(&key))
	var boxed any = m
	*(*unsafe.Pointer)(unsafe.Pointer(&boxed)) = unsafe.Pointer(&t)
	return reflect.ValueOf(boxed)
}
