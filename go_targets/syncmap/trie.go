//go:build go1.26 || goexperiment.synchashtriemap

package main

import (
	"sync"
	"unsafe"
)

// trie is sync.Map and internal/sync.HashTrieMap[any, any] as hashtriemap.go lays them down.
type trie struct {
	inited   uint32
	initMu   [8]byte
	root     *node
	keyHash  unsafe.Pointer
	valEqual unsafe.Pointer
	seed     uintptr
}

type node struct {
	isEntry  bool
	dead     uint32
	mu       [8]byte
	parent   *node
	children [16]*node
}

type entry struct {
	isEntry  bool
	overflow *entry
	key      any
	value    any
}

// inside is what a sync.Map is made of.
type inside struct {
	Generation string  `json:"generation"`
	Root       uintptr `json:"root"`
	Seed       uint64  `json:"seed"`
	Depth      int     `json:"depth"`
	Nodes      int     `json:"nodes"`
	Found      int     `json:"found"`
	Chains     int     `json:"chains"`
	Overflow   int     `json:"overflow"`
	Longest    int     `json:"longest"`
}

func look(m *sync.Map) inside {
	t := (*trie)(unsafe.Pointer(m))
	f := inside{Generation: "hash-trie", Root: uintptr(unsafe.Pointer(t.root)), Seed: uint64(t.seed)}
	if t.root != nil {
		f.walk(t.root, 1)
	}
	return f
}

// spoil exchanges two places of the root: searches do not find what is there.
func spoil(m *sync.Map) string {
	root := (*trie)(unsafe.Pointer(m)).root
	root.children[0], root.children[1] = root.children[1], root.children[0]
	return "misplaced-key"
}

// amended says whether a lookup may have to take the mutex: of a trie none does.
func amended(*sync.Map) bool { return false }

func (f *inside) walk(n *node, depth int) {
	if depth > f.Depth {
		f.Depth = depth
	}
	f.Nodes++
	for _, child := range n.children {
		switch {
		case child == nil:
		case child.isEntry:
			length := 0
			for e := (*entry)(unsafe.Pointer(child)); e != nil; e = e.overflow {
				f.Found++
				length++
			}
			if length > 1 {
				f.Chains++
				f.Overflow += length - 1
			}
			if length > f.Longest {
				f.Longest = length
			}
		default:
			f.walk(child, depth+1)
		}
	}
}
