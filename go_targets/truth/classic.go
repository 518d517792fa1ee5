//go:build !go1.26 && !goexperiment.swissmap

package truth

import (
	"reflect"
	"unsafe"
)

// Swiss says which maps this program was built with.
const Swiss = false

// HeaderSize is the size of a map's header.
const HeaderSize = unsafe.Sizeof(hmap{})

// MarkOffset is where the tophash of a slot lies in its bucket.
func MarkOffset(slot int) uintptr { return uintptr(slot) }

// mapextra mirrors runtime.mapextra.
type mapextra struct {
	overflow, oldoverflow, nextOverflow uintptr
}

// mapType mirrors internal/abi.MapType (OldMapType in Go 1.24 and 1.25).
type mapType struct {
	abiType
	key, elem, bucket  *abiType
	hasher             func(unsafe.Pointer, uintptr) uintptr
	keySize, valueSize uint8
	bucketSize         uint16
	flags              uint32
}

const ptrSize = unsafe.Sizeof(uintptr(0))

func shapeOf(t reflect.Type) Shape {
	d := (*mapType)(unsafe.Pointer(descriptor(t)))
	checkDescriptor(t, d.key, d.elem)
	// dataOffset of runtime/map.go: 8 on amd64, arm64, and on 386 too.
	return Shape{BucketSize: uintptr(d.bucketSize),
		KeysOff: 8, KeyStride: uintptr(d.keySize),
		ElemsOff: 8 + 8*uintptr(d.keySize), ElemStride: uintptr(d.valueSize),
		IndirectKey: d.flags&1 != 0, IndirectElem: d.flags&2 != 0}
}

// chain is what one main bucket and its overflow buckets hold.
type chain struct {
	buckets int // main bucket included
	own     int // live slots of the main bucket
}

func walk(t reflect.Type, header uintptr, see entryFunc, region regionFunc) Facts {
	s := shapeOf(t)
	f := Facts{Layout: "classic", Shape: s, Flags: []string{}, Growth: Growth{State: "none"}}
	f.Bytes.Overflow = new(int)
	if header == 0 {
		return f
	}
	if region == nil {
		region = func(address, size uintptr) {}
	}
	h := at[hmap](header)
	region(header, unsafe.Sizeof(*h))
	f.Count = h.count
	f.Classic = &ClassicFacts{B: int(h.B), Noverflow: int(h.noverflow), Hash0: h.hash0,
		OldBuckets: hexOrNil(h.oldbuckets), Nevacuate: int(h.nevacuate)}
	if h.extra != 0 {
		region(h.extra, unsafe.Sizeof(mapextra{}))
		f.Classic.NextOverflow = hexOrNil(at[mapextra](h.extra).nextOverflow)
	}
	for bit, name := range []string{"iterator", "old-iterator", "writing", "same-size-grow"} {
		if h.flags&(1<<bit) != 0 {
			f.Flags = append(f.Flags, name)
		}
	}

	walkChain := func(main uintptr) (c chain) {
		for b := main; b != 0; b = *at[uintptr](b + s.BucketSize - ptrSize) {
			region(b, s.BucketSize)
			c.buckets++
			for slot, top := range at[[8]uint8](b) {
				f.Slots.Total++
				switch {
				case top == 0:
					f.Slots.Empty++
				case top == 1:
					f.Slots.Tombstones++
				case top <= 4:
					f.Slots.Evacuated++
				default:
					f.Slots.Live++
					if b == main {
						c.own++
					}
					if see != nil {
						s.entry(b, slot, see)
					}
				}
			}
		}
		return c
	}

	b := &f.Buckets
	b.Address = hexOrNil(h.buckets)
	if h.buckets != 0 {
		b.Count = 1 << h.B
	}
	for i := 0; i < b.Count; i++ {
		c := walkChain(h.buckets + uintptr(i)*s.BucketSize)
		b.Fill[c.own]++
		b.Overflow += c.buckets - 1
		b.LongestChain = max(b.LongestChain, c.buckets)
	}
	f.Growth.Nevacuate = int(h.nevacuate)
	if h.oldbuckets != 0 {
		b.OldAddress = hexOrNil(h.oldbuckets)
		b.OldFill = new([9]int)
		f.Growth.State = "doubling"
		b.OldCount = 1 << (h.B - 1)
		if h.flags&8 != 0 {
			f.Growth.State = "same-size"
			b.OldCount = 1 << h.B
		}
		for i := 0; i < b.OldCount; i++ {
			main := h.oldbuckets + uintptr(i)*s.BucketSize
			top := *at[uint8](main)
			c := walkChain(main)
			b.OldOverflow += c.buckets - 1
			if top >= 2 && top <= 4 {
				f.Growth.Evacuated++
				continue
			}
			b.OldFill[c.own]++
			b.LongestChain = max(b.LongestChain, c.buckets)
		}
		f.Growth.OldBuckets = b.OldCount
		f.Growth.Fraction = float64(f.Growth.Evacuated) / float64(b.OldCount)
		old := b.OldCount * int(s.BucketSize)
		f.Bytes.OldArray = &old
	}
	*f.Bytes.Overflow = b.Overflow * int(s.BucketSize)
	f.Live = f.Slots.Live
	if b.Count > 0 {
		f.Load = float64(f.Live) / float64(8*b.Count)
	}
	return f
}

func seedOf(header uintptr) uintptr { return uintptr(at[hmap](header).hash0) }

// follow is mapaccessK of runtime/map.go.
func (s *search) follow(header, hash uintptr) {
	h, size := at[hmap](header), s.shape.BucketSize
	if h.count == 0 {
		return
	}
	top := uint8(hash >> (8*ptrSize - 8))
	if top < 5 {
		top += 5
	}
	bucket := hash & (1<<h.B - 1)
	b, to := h.buckets+bucket*size, Step{Bucket: int(bucket)}
	if h.oldbuckets != 0 {
		count := uintptr(1) << h.B
		if h.flags&8 == 0 {
			count /= 2
		}
		before := hash & (count - 1)
		old := h.oldbuckets + before*size
		from := Step{Bucket: int(before), Old: true}
		if first := *at[uint8](old); first < 2 || first > 4 {
			b, to = old, from
		} else {
			s.add(from, -1, "moved")
		}
	}
	for ; ; to.Overflow++ {
		for slot, mark := range at[[8]uint8](b) {
			if mark == 0 {
				s.add(to, slot, "ends")
				return
			}
			if mark == top && s.holds(to, b, slot) {
				return
			}
		}
		b = *at[uintptr](b + size - ptrSize)
		if b == 0 {
			s.add(to, -1, "ends")
			return
		}
		s.add(to, -1, "goes-on")
	}
}
