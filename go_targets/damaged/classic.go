//go:build !go1.26 && !goexperiment.swissmap

package main

import (
	"reflect"
	"unsafe"

	"gomap.test/targets/truth"
)

// Offsets in runtime.hmap on 64-bit machines, the same in all its versions.
const (
	hCount, hFlags, hB, hNoverflow, hHash0         = 0, 8, 9, 10, 12
	hBuckets, hOldbuckets, hNevacuate      uintptr = 16, 24, 32
)

var (
	half = until(func(f truth.Facts) bool {
		return f.Growth.State == "doubling" && f.Growth.OldBuckets == 64 && f.Growth.Evacuated > 32
	})
	// No chain goes on behind its first overflow bucket: what is there would be lost as well.
	chained = until(func(f truth.Facts) bool {
		return f.Growth.State == "none" && f.Buckets.Count == 128 && f.Buckets.Overflow > 3 && f.Buckets.LongestChain == 2
	})
	settled = until(func(f truth.Facts) bool { return f.Growth.State == "none" && f.Buckets.Count == 64 && f.Count > 300 })
)

func (t *target) bucket(i int) uintptr {
	return *t.word(hBuckets) + uintptr(i)*t.facts.Shape.BucketSize
}
func (t *target) oldBucket(i int) uintptr {
	return *t.word(hOldbuckets) + uintptr(i)*t.facts.Shape.BucketSize
}
func (t *target) overflow(bucket uintptr) *uintptr {
	return at[uintptr](bucket + t.facts.Shape.BucketSize - unsafe.Sizeof(uintptr(0)))
}

// first is the first bucket of which wanted is true.
func (t *target) first(wanted func(b uintptr) bool) uintptr {
	for i := 0; i < t.facts.Buckets.Count; i++ {
		if wanted(t.bucket(i)) {
			return t.bucket(i)
		}
	}
	panic("no bucket is as wanted")
}

func live(mark uint8) bool { return mark >= 5 }

// full has live keys in all its slots before n, and not the key 0: so looks one that a write has cleared.
func (t *target) full(n int) func(b uintptr) bool {
	return func(b uintptr) bool {
		for slot := 0; slot < n; slot++ {
			if !live(*t.mark(b, slot)) || *t.key(b, slot) == 0 {
				return false
			}
		}
		return true
	}
}

func (t *target) chains(n int) (found []uintptr) {
	for i := 0; i < t.facts.Buckets.Count && len(found) < n; i++ {
		if *t.overflow(t.bucket(i)) != 0 {
			found = append(found, t.bucket(i))
		}
	}
	truth.Check(len(found) == n, "overflow buckets")
	return found
}

// oldOne is the first old bucket that has moved, or has not, and is not empty.
func (t *target) oldOne(moved bool) int {
	for i := 0; i < t.facts.Buckets.OldCount; i++ {
		top := *t.mark(t.oldBucket(i), 0)
		if moved && top >= 2 && top <= 4 || !moved && live(top) && live(*t.mark(t.oldBucket(i), 1)) {
			return i
		}
	}
	panic("no old bucket is as wanted")
}

var damages = []damage{
	{"count too high", "count-mismatch", settled, func(t *target) { *t.word(hCount)++ }},
	{"count too low", "count-mismatch", settled, func(t *target) { *t.word(hCount) -= 2 }},
	{"tophash of another key", "bad-tophash", settled, func(t *target) {
		mark := t.mark(t.first(t.full(1)), 0)
		*mark = 5 + (*mark-5+1)%251 // any but its own, and none with a meaning
	}},
	{"key overwritten", "misplaced-key", settled, func(t *target) {
		b := t.first(t.full(1))
		*t.key(b, 0) = t.strangerOf(b)
	}},
	{"key inserted twice", "duplicate-key", settled, func(t *target) {
		b := t.first(t.full(2))
		*t.key(b, 1), *t.mark(b, 1) = *t.key(b, 0), *t.mark(b, 0)
	}},
	{"entry lost", "count-mismatch", settled, func(t *target) { *t.mark(t.first(t.full(2)), 0) = 1 }},
	{"slot live that was never filled", "misplaced-key", settled, func(t *target) {
		b := t.first(func(b uintptr) bool { return live(*t.mark(b, 0)) && *t.mark(b, 7) == 0 })
		slot := 1
		for *t.mark(b, slot) != 0 {
			slot++
		}
		*t.mark(b, slot), *t.key(b, slot) = 0x77, t.strangerOf(b)
	}},
	{"emptyRest before live slots", "empty-rest", settled, func(t *target) {
		// Nothing behind it: an overflow bucket would be a second place where the mark is wrong. Something before it: a
		// clear that has just begun leaves the first bucket so.
		clearing := t.first(t.full(1))
		b := t.first(func(b uintptr) bool { return b != clearing && t.full(2)(b) && *t.overflow(b) == 0 })
		delete(M["emptyRest before live slots"], *t.key(b, 0))
		truth.Check(*t.mark(b, 0) == 1, "a deleted slot in front of a live one")
		*t.mark(b, 0) = 0
	}},
	{"evacuation mark in the current array", "bad-mark", settled, func(t *target) { *t.mark(t.first(t.full(1)), 0) = 2 }},
	{"chain into itself", "overflow-cycle", chained, func(t *target) {
		o := *t.overflow(t.chains(1)[0])
		*t.overflow(o) = o
	}},
	{"chain back to its start", "overflow-cycle", chained, func(t *target) {
		b := t.chains(1)[0]
		*t.overflow(*t.overflow(b)) = b
	}},
	{"two chains in one", "overflow-shared", chained, func(t *target) {
		c := t.chains(2)
		*t.overflow(*t.overflow(c[1])) = *t.overflow(c[0])
	}},
	{"chain into the array", "overflow-outside", chained, func(t *target) {
		b := t.chains(1)[0]
		*t.overflow(*t.overflow(b)) = t.bucket((int(b-t.bucket(0))/int(t.facts.Shape.BucketSize) + 1) % t.facts.Buckets.Count)
	}},
	{"chain into another map", "overflow-outside", chained, func(t *target) {
		other := M["count too high"]
		header := *(*uintptr)(unsafe.Pointer(&other))
		*t.overflow(*t.overflow(t.chains(1)[0])) = *at[uintptr](header + hBuckets)
	}},
	{"chain into nowhere", "overflow-outside", chained, func(t *target) {
		*t.overflow(*t.overflow(t.chains(1)[0])) = 0x10
	}},
	{"chain cut", "overflow-lost", chained, func(t *target) {
		for _, b := range t.chains(3) {
			if live(*t.mark(*t.overflow(b), 0)) {
				*t.overflow(b) = 0
				return
			}
		}
		panic("no overflow bucket with entries")
	}},
	{"noverflow wrong", "bad-noverflow", chained, func(t *target) { *at[uint16](t.header + hNoverflow) += 3 }},
	{"B too high", "bad-B", settled, func(t *target) { *t.byte(hB)++ }},
	{"B too low", "bad-B", settled, func(t *target) { *t.byte(hB)-- }},
	{"B absurd", "bad-B", settled, func(t *target) { *t.byte(hB) = 200 }},
	{"hash0 of another map", "bad-seed", settled, func(t *target) { *at[uint32](t.header + hHash0) ^= 0xdeadbeef }},
	{"unknown flag", "bad-flags", settled, func(t *target) { *t.byte(hFlags) |= 0x40 }},
	{"same-size flag with no growth", "bad-flags", settled, func(t *target) { *t.byte(hFlags) |= 8 }},
	{"nevacuate ahead of the evacuation", "bad-nevacuate", half, func(t *target) {
		*t.word(hNevacuate) = uintptr(t.facts.Buckets.OldCount) - 1
	}},
	{"old bucket moved in part", "evacuation-marks", half, func(t *target) {
		*t.mark(t.oldBucket(t.oldOne(true)), 3) = 0x33
	}},
	{"old bucket moving that has not", "evacuation-marks", half, func(t *target) {
		*t.mark(t.oldBucket(t.oldOne(false)), 1) = 3
	}},
	{"key of the old array overwritten", "misplaced-key", half, func(t *target) {
		i := t.oldOne(false)
		*t.key(t.oldBucket(i), 0) = t.stranger(uintptr(i), uintptr(t.facts.Buckets.OldCount))
	}},
}

// inWrite: a delete counts last, an insert of an int sets the tophash first, a growth sets and takes its flag while
// there is no old array.
var inWrite = map[string]bool{
	"count too high": true, "entry lost": true, "slot live that was never filled": true,
	"same-size flag with no growth": true,
}

func (t *target) startWriting() { *t.byte(hFlags) |= 4 }

// strangerOf is a key that belongs into another bucket, and that the program never put in.
func (t *target) strangerOf(b uintptr) int {
	return t.stranger((b-t.bucket(0))/t.facts.Shape.BucketSize, uintptr(t.facts.Buckets.Count))
}

func (t *target) stranger(bucket, count uintptr) int {
	h := truth.Hasher(reflect.TypeOf(map[int]int{}))
	k := -99991
	for h(unsafe.Pointer(&k), uintptr(*at[uint32](t.header + hHash0)))&(count-1) == bucket {
		k--
	}
	return k
}
