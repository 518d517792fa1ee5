//go:build go1.26 || goexperiment.swissmap

package main

import (
	"reflect"
	"unsafe"

	"gomap.test/targets/truth"
)

// Offsets in internal/runtime/maps.Map and table on 64-bit machines, the same in all their versions.
const (
	mUsed, mSeed, mDirPtr, mDirLen, mDepth, mShift, mWriting, mTombstone uintptr = 0, 8, 16, 24, 32, 33, 34, 35
	tUsed, tCapacity, tGrowthLeft, tLocalDepth, tIndex, tGroups, tMask   uintptr = 0, 2, 4, 6, 8, 16, 24
)

var (
	small  = filled(6)
	one    = filled(300)
	many   = until(func(f truth.Facts) bool { return len(f.Tables) >= 4 })
	shared = until(func(f truth.Facts) bool { return len(f.Tables) > 2 && len(f.Tables) < f.Swiss.DirLen })
	tombs  = func() map[int]int {
		m := until(func(f truth.Facts) bool {
			return len(f.Tables) == 1 && f.Tables[0].Capacity == 1024 && f.Tables[0].GrowthLeft == 0
		})()
		for k := 0; truth.Look(m).Slots.Tombstones < 20; k++ {
			delete(m, k)
		}
		return m
	}
)

func (t *target) table(i uintptr) uintptr {
	return *at[uintptr](*t.word(mDirPtr) + i*unsafe.Sizeof(uintptr(0)))
}

// group is the first of which wanted is true, in the table at directory entry i.
func (t *target) group(i uintptr, wanted func(g uintptr) bool) uintptr {
	table := t.table(i)
	base, mask := *at[uintptr](table + tGroups), *at[uint64](table + tMask)
	for n := uint64(0); n <= mask; n++ {
		if g := base + uintptr(n)*t.facts.Shape.BucketSize; wanted(g) {
			return g
		}
	}
	panic("no group is as wanted")
}

func live(mark uint8) bool { return mark < 0x80 }

// full has live keys in all its slots before n.
func (t *target) full(n int) func(g uintptr) bool {
	return func(g uintptr) bool {
		for slot := 0; slot < n; slot++ {
			if !live(*t.mark(g, slot)) {
				return false
			}
		}
		return true
	}
}

func (t *target) gap(g uintptr) bool { return live(*t.mark(g, 0)) && *t.mark(g, 7) == 0x80 }

var damages = append([]damage{
	{"count too high", "count-mismatch", one, func(t *target) { *t.word(mUsed)++ }},
	{"count of a small map", "count-mismatch", small, func(t *target) { *t.word(mUsed)-- }},
	{"H2 of another key", "bad-h2", one, func(t *target) { *t.mark(t.group(0, t.full(1)), 0) ^= 0x41 }},
	{"H2 in a small map", "bad-h2", small, func(t *target) { *t.mark(*t.word(mDirPtr), 0) ^= 0x41 }},
	{"key overwritten", "bad-h2", one, func(t *target) {
		g := t.group(0, t.full(1))
		h := truth.Hasher(reflect.TypeOf(map[int]int{}))
		for k := -99991; ; k-- { // one of another H2, whose search may or may not come by
			if h(unsafe.Pointer(&k), *t.word(mSeed))&0x7f != uintptr(*t.mark(g, 0)) {
				*t.key(g, 0) = k
				return
			}
		}
	}},
	{"entry in another table", "misplaced-key", many, func(t *target) {
		// A key of the first table comes to lie in the last, with its control byte.
		from := t.group(0, t.full(1))
		to := t.group(uintptr(t.facts.Swiss.DirLen)-1, t.full(1))
		*t.key(to, 0), *t.mark(to, 0) = *t.key(from, 0), *t.mark(from, 0)
	}},
	{"key inserted twice", "duplicate-key", one, func(t *target) {
		g := t.group(0, t.full(2))
		*t.key(g, 1), *t.mark(g, 1) = *t.key(g, 0), *t.mark(g, 0)
	}},
	{"entry lost", "lost-entry", many, func(t *target) {
		// Of a group that keeps another, in the last table: a clear empties a group at once, and the first table first.
		last := uintptr(t.facts.Swiss.DirLen) - 1
		*t.mark(t.group(last, func(g uintptr) bool { return t.gap(g) && t.full(2)(g) }), 0) = 0x80
	}},
	{"entry lost to a tombstone", "lost-entry", tombs, func(t *target) { *t.mark(t.group(0, t.full(2)), 0) = 0xFE }},
	{"control byte without a meaning", "bad-mark", one, func(t *target) { *t.mark(t.group(0, t.full(1)), 0) = 0xC3 }},
	{"tombstone in a small map", "bad-mark", small, func(t *target) { *t.mark(*t.word(mDirPtr), 0) = 0xFE }},
	{"slot live that was never filled", "bad-h2", one, func(t *target) {
		g := t.group(0, t.gap)
		*t.key(g, 7) = *t.key(g, 0)
		*t.mark(g, 7) = *t.mark(g, 0) ^ 0x15
	}},
	{"used of a table", "bad-used", many, func(t *target) { *at[uint16](t.table(0) + tUsed) += 3 }},
	{"growthLeft", "bad-growth-left", many, func(t *target) { *at[uint16](t.table(0) + tGrowthLeft) += 5 }},
	{"capacity", "bad-capacity", many, func(t *target) { *at[uint16](t.table(0) + tCapacity) = 512 }},
	{"lengthMask", "bad-capacity", many, func(t *target) { *at[uint64](t.table(0) + tMask) >>= 1 }},
	{"lengthMask absurd", "bad-table", many, func(t *target) { *at[uint64](t.table(0) + tMask) = 12345 }},
	{"groups in nowhere", "unreadable", many, func(t *target) { *at[uintptr](t.table(0) + tGroups) = 0x1000 }},
	{"localDepth", "bad-local-depth", many, func(t *target) { *at[uint8](t.table(0) + tLocalDepth)++ }},
	{"index", "bad-index", many, func(t *target) { *at[int](t.table(0) + tIndex) = -1 }},
	{"directory entry of another table", "bad-directory", shared, func(t *target) {
		*at[uintptr](*t.word(mDirPtr)) = t.table(uintptr(t.facts.Swiss.DirLen) - 1)
	}},
	{"directory entry nil", "nil-table", many, func(t *target) { *at[uintptr](*t.word(mDirPtr)) = 0 }},
	{"directory entry in nowhere", "unreadable", many, func(t *target) { *at[uintptr](*t.word(mDirPtr)) = 0x1000 }},
	{"dirLen", "bad-dirlen", many, func(t *target) { *t.word(mDirLen) /= 2 }},
	{"dirLen zero", "bad-dirlen", many, func(t *target) { *t.word(mDirLen) = 0 }},
	{"globalDepth", "bad-depth", many, func(t *target) { *t.byte(mDepth)++ }},
	{"globalShift", "bad-shift", many, func(t *target) { *t.byte(mShift)-- }},
	{"seed of another map", "bad-seed", many, func(t *target) { *t.word(mSeed) ^= 0xdeadbeef }},
	{"table without an empty slot", "no-empty-slot", one, func(t *target) {
		t.group(0, func(g uintptr) bool {
			for slot := 0; slot < 8; slot++ {
				if *t.mark(g, slot) == 0x80 {
					*t.mark(g, slot) = 0xFE
				}
			}
			return g == t.last(0)
		})
		t.tombstonesPossible()
	}},
	{"writing", "bad-flags", many, func(t *target) { *t.byte(mWriting) = 6 }},
	{"search that ends too soon", "unreachable-key", tombs, func(t *target) {
		// Tombstones of a group that searches go through become empty, as if they were not needed.
		spoilt := 0
		t.group(0, func(g uintptr) bool {
			for slot := 0; slot < 8; slot++ {
				if *t.mark(g, slot) == 0xFE {
					*t.mark(g, slot) = 0x80
					*at[uint16](t.table(0) + tGrowthLeft)++
					spoilt++
				}
			}
			return g == t.last(0)
		})
		truth.Check(spoilt > 0, "tombstones")
	}},
}, tombstoneFlag...)

// inWrite: a delete counts first and takes the entry away then.
var inWrite = map[string]bool{"count of a small map": true}

func (t *target) startWriting() { *t.byte(mWriting) |= 1 }

// last is the last group of the table at directory entry i.
func (t *target) last(i uintptr) uintptr {
	table := t.table(i)
	return *at[uintptr](table + tGroups) + uintptr(*at[uint64](table + tMask))*t.facts.Shape.BucketSize
}
