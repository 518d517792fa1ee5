//go:build go1.24 && !go1.26 && !goexperiment.swissmap

package truth

// hmap mirrors runtime.hmap of runtime/map_noswiss.go in Go 1.24 and 1.25.
type hmap struct {
	count      int
	flags      uint8
	B          uint8
	noverflow  uint16
	hash0      uint32
	buckets    uintptr
	oldbuckets uintptr
	nevacuate  uintptr
	clearSeq   uint64
	extra      uintptr
}
