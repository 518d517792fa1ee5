//go:build go1.26 || (goexperiment.swissmap && go1.25)

package main

var tombstoneFlag = []damage{
	{"tombstones that are not possible", "bad-tombstone-flag", tombs, func(t *target) { *t.byte(mTombstone) = 0 }},
}

func (t *target) tombstonesPossible() { *t.byte(mTombstone) = 1 }
