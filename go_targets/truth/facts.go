package truth

import (
	"reflect"
	"unsafe"
)

// Facts is what a walk of a map's memory finds. For Swiss maps buckets are groups.
type Facts struct {
	Layout  string        `json:"layout"`
	Group   *string       `json:"group"`
	Count   int           `json:"count"`
	Live    int           `json:"live"`
	Load    float64       `json:"load"`
	Buckets Buckets       `json:"buckets"`
	Slots   Slots         `json:"slots"`
	Bytes   Bytes         `json:"bytes"`
	Flags   []string      `json:"flags"`
	Growth  Growth        `json:"growth"`
	Classic *ClassicFacts `json:"classic"`
	Swiss   *SwissFacts   `json:"swiss"`
	Tables  []Table       `json:"tables"` // null for classic maps
	Shape   Shape         `json:"shape"`
}

type Buckets struct {
	Count        int     `json:"count"`
	Address      *string `json:"address"`
	Fill         [9]int  `json:"fill"`
	Overflow     int     `json:"overflow"`
	OldOverflow  int     `json:"old_overflow"`
	LongestChain int     `json:"longest_chain"`
	OldCount     int     `json:"old_count"`
	OldAddress   *string `json:"old_address"`
	OldFill      *[9]int `json:"old_fill"`
}

type Slots struct {
	Total      int `json:"total"`
	Live       int `json:"live"`
	Empty      int `json:"empty"`
	Tombstones int `json:"tombstones"`
	Evacuated  int `json:"evacuated"`
}

// Bytes of the overflow buckets of the current array, and of the old array
// without its overflow buckets. Null where there can be none.
type Bytes struct {
	Overflow *int `json:"overflow"`
	OldArray *int `json:"old_array"`
}

type Growth struct {
	State      string  `json:"state"`
	OldBuckets int     `json:"old_buckets"`
	Evacuated  int     `json:"evacuated"`
	Fraction   float64 `json:"fraction"`
	Nevacuate  int     `json:"nevacuate"`
}

type ClassicFacts struct {
	B            int     `json:"B"`
	Noverflow    int     `json:"noverflow"`
	Hash0        uint32  `json:"hash0"`
	OldBuckets   *string `json:"oldbuckets"`
	Nevacuate    int     `json:"nevacuate"`
	NextOverflow *string `json:"next_overflow"`
}

type SwissFacts struct {
	Used              uint64 `json:"used"`
	Seed              uint64 `json:"seed"`
	DirLen            int    `json:"dir_len"`
	GlobalDepth       int    `json:"global_depth"`
	Tables            int    `json:"tables"`
	Small             bool   `json:"small"`
	Writing           bool   `json:"writing"`
	TombstonePossible *bool  `json:"tombstone_possible"`
	ClearSeq          uint64 `json:"clear_seq"`
}

type Table struct {
	Index            int `json:"index"`
	LocalDepth       int `json:"local_depth"`
	DirectoryEntries int `json:"directory_entries"`
	Capacity         int `json:"capacity"`
	Used             int `json:"used"`
	GrowthLeft       int `json:"growth_left"`
	Tombstones       int `json:"tombstones"`
	Groups           int `json:"groups"`
}

// LoadLimit is how many entries a classic map of 2 or more buckets holds before the
// next new key doubles it: runtime/map.go, overLoadFactor.
func LoadLimit(buckets int) int { return loadFactorNum * (buckets / 2) }

// entryFunc is called with the addresses of each live key and elem.
type entryFunc func(key, elem unsafe.Pointer)

// regionFunc is called with each piece of memory the walk goes through.
type regionFunc func(address, size uintptr)

// Shape says where a bucket or group keeps its keys and elems, by the runtime's
// own type descriptor.
type Shape struct {
	BucketSize   uintptr `json:"bucket_size"`
	KeysOff      uintptr `json:"keys_off"`
	KeyStride    uintptr `json:"key_stride"`
	ElemsOff     uintptr `json:"elems_off"`
	ElemStride   uintptr `json:"elem_stride"`
	IndirectKey  bool    `json:"indirect_key"`
	IndirectElem bool    `json:"indirect_elem"`
}

func (s Shape) entry(bucket uintptr, slot int, see entryFunc) {
	key := bucket + s.KeysOff + uintptr(slot)*s.KeyStride
	elem := bucket + s.ElemsOff + uintptr(slot)*s.ElemStride
	if s.IndirectKey {
		key = *at[uintptr](key)
	}
	if s.IndirectElem {
		elem = *at[uintptr](elem)
	}
	see(unsafe.Pointer(at[byte](key)), unsafe.Pointer(at[byte](elem)))
}

// abiType mirrors internal/abi.Type, the same from Go 1.21 to 1.27.
type abiType struct {
	size, ptrBytes                 uintptr
	hash                           uint32
	tflag, align, fieldAlign, kind uint8
	equal                          func(unsafe.Pointer, unsafe.Pointer) bool
	gcData                         *byte
	str, ptrToThis                 int32
}

// descriptor returns the runtime's own type descriptor of t.
func descriptor(t reflect.Type) *abiType {
	return (*[2]*abiType)(unsafe.Pointer(&t))[1]
}

// checkDescriptor panics unless the mirrored map descriptor is where we think.
func checkDescriptor(t reflect.Type, key, elem *abiType) {
	if key != descriptor(t.Key()) || elem != descriptor(t.Elem()) {
		panic("the map type descriptor is not laid out as expected: " + t.String())
	}
}
