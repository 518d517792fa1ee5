//go:build go1.26 || goexperiment.swissmap

package truth

import (
	"bytes"
	"reflect"
	"unsafe"
)

// Swiss says which maps this program was built with.
const Swiss = true

// HeaderSize is the size of a map's header.
const HeaderSize = unsafe.Sizeof(swissMap{})

// MarkOffset is where the control byte of a slot lies in its group: the lowest byte of a word is slot 0's.
func MarkOffset(slot int) uintptr {
	word := uint64(1) << (8 * slot)
	return uintptr(bytes.IndexByte((*[8]byte)(unsafe.Pointer(&word))[:], 1))
}

// table mirrors internal/runtime/maps.table.
type table struct {
	used, capacity, growthLeft uint16
	localDepth                 uint8
	index                      int
	groups                     uintptr
	lengthMask                 uint64
}

func walk(t reflect.Type, header uintptr, see entryFunc, region regionFunc) Facts {
	s := shapeOf(t)
	layout := groupLayout
	f := Facts{Layout: "swiss", Group: &layout, Shape: s, Flags: []string{},
		Growth: Growth{State: "none"}, Tables: []Table{}}
	if header == 0 {
		return f
	}
	if region == nil {
		region = func(address, size uintptr) {}
	}
	m := at[swissMap](header)
	region(header, unsafe.Sizeof(*m))
	f.Count = int(m.used)
	f.Swiss = &SwissFacts{Used: m.used, Seed: uint64(m.seed), DirLen: m.dirLen, GlobalDepth: int(m.globalDepth),
		Small: m.dirLen == 0, Writing: m.writing != 0, TombstonePossible: m.tombstones(), ClearSeq: m.clearSeq}
	if m.writing != 0 {
		f.Flags = append(f.Flags, "writing")
	}
	f.Buckets.Address = hexOrNil(m.dirPtr)

	// walkGroup returns the number of tombstones.
	walkGroup := func(g uintptr) (tombstones int) {
		region(g, s.BucketSize)
		own := 0
		for slot := 0; slot < 8; slot++ {
			switch c := control(g, slot); {
			case c < 0x80:
				own++
				if see != nil {
					s.entry(g, slot, see)
				}
			case c == 0x80:
				f.Slots.Empty++
			case c == 0xFE:
				tombstones++
			default:
				panic("a control byte that is neither empty, deleted nor full")
			}
		}
		f.Buckets.Count++
		f.Buckets.Fill[own]++
		f.Slots.Total += 8
		f.Slots.Live += own
		f.Slots.Tombstones += tombstones
		return tombstones
	}

	switch {
	case m.dirPtr == 0:
	case m.dirLen == 0:
		walkGroup(m.dirPtr)
	default:
		seen := map[uintptr]int{} // table -> its place in f.Tables
		region(m.dirPtr, uintptr(m.dirLen)*unsafe.Sizeof(m.dirPtr))
		for _, address := range unsafe.Slice(at[uintptr](m.dirPtr), m.dirLen) {
			if i, ok := seen[address]; ok {
				f.Tables[i].DirectoryEntries++
				continue
			}
			seen[address] = len(f.Tables)
			t := at[table](address)
			region(address, unsafe.Sizeof(*t))
			row := Table{Index: t.index, LocalDepth: int(t.localDepth), DirectoryEntries: 1, Capacity: int(t.capacity),
				Used: int(t.used), GrowthLeft: int(t.growthLeft), Groups: int(t.lengthMask) + 1}
			for i := 0; i < row.Groups; i++ {
				row.Tombstones += walkGroup(t.groups + uintptr(i)*s.BucketSize)
			}
			f.Tables = append(f.Tables, row)
		}
	}
	f.Swiss.Tables = len(f.Tables)
	f.Live = f.Slots.Live
	if f.Buckets.Count > 0 {
		f.Load = float64(f.Live) / float64(8*f.Buckets.Count)
	}
	return f
}

// control is the control byte of a slot: internal/runtime/maps, ctrlGroup.get.
func control(group uintptr, slot int) uint8 {
	word := *at[uint64](group)
	return uint8(word >> (8 * slot))
}

func seedOf(header uintptr) uintptr { return at[swissMap](header).seed }

// follow is getWithKey of internal/runtime/maps, and getWithKeySmall.
func (s *search) follow(header, hash uintptr) {
	m := at[swissMap](header)
	if m.used == 0 {
		return
	}
	h2 := uint8(hash & 0x7f)
	// in is whether the key is in the group; else, whether the search ends there.
	in := func(to Step, group uintptr) (found, ends bool) {
		for slot := 0; slot < 8; slot++ {
			if c := control(group, slot); c == h2 && s.holds(to, group, slot) {
				return true, true
			} else if c == 0x80 {
				ends = true
			}
		}
		return false, ends
	}
	if m.dirLen == 0 {
		if found, _ := in(Step{}, m.dirPtr); !found {
			s.add(Step{}, -1, "ends")
		}
		return
	}
	index := 0
	if m.dirLen > 1 {
		index = int(hash >> (m.globalShift & 63))
	}
	t := at[table](unsafe.Slice(at[uintptr](m.dirPtr), m.dirLen)[index])
	// probeSeq
	offset := uint64(hash>>7) & t.lengthMask
	for i := uint64(1); ; i++ {
		to := Step{Table: &t.index, Bucket: int(offset), Overflow: int(i - 1)}
		found, ends := in(to, t.groups+uintptr(offset)*s.shape.BucketSize)
		switch {
		case found:
			return
		case ends:
			s.add(to, -1, "ends")
			return
		}
		s.add(to, -1, "goes-on")
		offset = (offset + i) & t.lengthMask
	}
}
