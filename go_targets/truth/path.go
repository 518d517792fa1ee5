package truth

import (
	"reflect"
	"unsafe"
)

// Step is what a lookup does in one slot, or at the end of one bucket (group): the runtime's own search, written
// down. Table is the index that a Swiss map's table has of itself, Overflow how many buckets of the chain (groups of the probe
// sequence) came before. Reason: found, other-key (the mark matches, the key does not), moved (the old bucket has),
// goes-on, ends.
type Step struct {
	Table    *int
	Bucket   int
	Overflow int
	Old      bool
	Slot     *int
	Reason   string
}

// row is a step as it is published.
func (s Step) row() [6]any { return [6]any{s.Table, s.Bucket, s.Overflow, s.Old, s.Slot, s.Reason} }

// search walks the path of one key.
type search struct {
	t     *mapType
	shape Shape
	key   unsafe.Pointer
	steps []Step
}

// pathOf is the hash of the key, by the function that the runtime itself calls, and the path that its lookup takes.
// ok is false where the key equals not even itself: it has a new hash each time.
func pathOf(t reflect.Type, header uintptr, key unsafe.Pointer) (hash uintptr, steps []Step, ok bool) {
	s := search{t: (*mapType)(unsafe.Pointer(descriptor(t))), shape: shapeOf(t), key: key}
	if !s.t.key.equal(key, key) {
		return 0, nil, false
	}
	hash = s.t.hasher(key, seedOf(header))
	s.follow(header, hash)
	return hash, s.steps, true
}

func (s *search) add(at Step, slot int, reason string) {
	at.Reason = reason
	if slot >= 0 {
		at.Slot = &slot
	}
	s.steps = append(s.steps, at)
}

// holds compares the key with that of a slot whose mark matches.
func (s *search) holds(at Step, bucket uintptr, slot int) bool {
	var same bool
	s.shape.entry(bucket, slot, func(key, elem unsafe.Pointer) { same = s.t.key.equal(s.key, key) })
	if same {
		s.add(at, slot, "found")
	} else {
		s.add(at, slot, "other-key")
	}
	return same
}
