//go:build !go1.24

package truth

// hmap mirrors runtime.hmap of runtime/map.go up to Go 1.23.
type hmap struct {
	count      int
	flags      uint8
	B          uint8
	noverflow  uint16
	hash0      uint32
	buckets    uintptr
	oldbuckets uintptr
	nevacuate  uintptr
	extra      uintptr
}
