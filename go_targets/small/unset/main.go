package main

import (
	"runtime"
	"sync"
)

type table struct {
	m    map[string]int
	all  []map[string]int
	s    sync.Map
	next *table
}

var Nil map[string]int

//go:noinline
func stop() {}

//go:noinline
func dirty(n uintptr) (sum uintptr) {
	var frame [512]uintptr
	for i := range frame {
		frame[i] = n + uintptr(i)*7
	}
	for i := range frame {
		sum += frame[i] >> 60
	}
	return sum
}

//go:noinline
func made() (map[string]int, *table, [2]table) {
	stop()
	result := map[string]int{"one": 1}
	return result, &table{m: result}, [2]table{}
}

type node struct {
	next    *node
	numbers [5]uintptr
}

var (
	kept map[string]int
	list *node
)

// fill puts other objects where the maps were that nothing needs any more.
//
//go:noinline
func fill() {
	kept = nil
	for i := uintptr(0); i < 3; i++ {
		runtime.GC()
		for j := uintptr(0); j < 10000; j++ {
			list = &node{list, [5]uintptr{j<<40 | 3, j << 50, 7, j<<30 | 1, 9}}
		}
	}
}

//go:noinline
func unset() int {
	old := map[string]int{"old": 1}
	kept = old
	fill()
	m, t, pair := made()
	later := map[string]int{"two": 2}
	stop()
	return len(m) + len(t.m) + len(later) + len(pair[0].m)
}

func main() {
	println(dirty(0x12345678), unset(), len(Nil))
}
