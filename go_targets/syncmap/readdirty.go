//go:build !go1.26 && !goexperiment.synchashtriemap

package main

import (
	"sync"
	"unsafe"
)

// syncMap is sync.Map as sync/map.go lays it down.
type syncMap struct {
	mu     [8]byte
	read   *readOnly
	dirty  map[any]*syncEntry
	misses int
}

type readOnly struct {
	m       map[any]*syncEntry
	amended bool
}

type syncEntry struct{ p *any }

// expunged is what sync.expunged holds: the one entry of read that a new dirty map leaves out has it.
var expunged = func() *any {
	var m sync.Map
	m.Store(1, 1)
	m.Range(func(key, value any) bool { return true })
	m.Delete(1)
	m.Store(2, 2)
	return (*syncMap)(unsafe.Pointer(&m)).read.m[1].p
}()

// inside is what a sync.Map is made of.
type inside struct {
	Generation string `json:"generation"`
	Amended    bool   `json:"amended"`
	Misses     int    `json:"misses"`
	Dirty      *int   `json:"dirty"` // len, null when nil
	Read       keys   `json:"read"`
	InDirty    keys   `json:"in_dirty"`
	OnlyDirty  int    `json:"only_dirty"`
}

type keys struct {
	Live     int `json:"live"`
	Deleted  int `json:"deleted"`
	Expunged int `json:"expunged"`
}

func (k *keys) add(e *syncEntry) {
	switch {
	case e.p == nil:
		k.Deleted++
	case e.p == expunged:
		k.Expunged++
	default:
		k.Live++
	}
}

func look(m *sync.Map) inside {
	s := (*syncMap)(unsafe.Pointer(m))
	f := inside{Generation: "read-dirty", Misses: s.misses}
	var read map[any]*syncEntry
	if s.read != nil {
		f.Amended, read = s.read.amended, s.read.m
	}
	for _, e := range read {
		f.Read.add(e)
	}
	for key, e := range s.dirty {
		f.InDirty.add(e)
		if _, both := read[key]; !both && e.p != nil && e.p != expunged {
			f.OnlyDirty++
		}
	}
	if s.dirty != nil {
		n := len(s.dirty)
		f.Dirty = &n
	}
	return f
}

// spoil takes the entries' count of the read map for another.
func spoil(m *sync.Map) string {
	m.Range(func(key, value any) bool { return false }) // makes dirty read
	header := *(**int)(unsafe.Pointer(&(*syncMap)(unsafe.Pointer(m)).read.m))
	*header++
	return "count-mismatch"
}

// amended says whether a lookup may have to take the mutex.
func amended(m *sync.Map) bool { return look(m).Amended }
