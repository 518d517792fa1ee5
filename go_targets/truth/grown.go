package truth

import (
	"reflect"
	"unsafe"
)

// Array is a bucket array, a group or a table.
type Array struct{ Slots, Used int }

// Grown is one growth of a map, as the arrays before and after it tell.
type Grown struct {
	Map       string `json:"address"`
	Type      string `json:"type"`
	Kind      string `json:"kind"`
	Entries   int    `json:"entries"`
	Slots     int    `json:"slots"`
	NewSlots  int    `json:"new_slots"`
	Copied    int    `json:"copied"`
	Directory *int   `json:"directory"`
	Goroutine int    `json:"goroutine"`
	Function  string `json:"function"`
	Line      int    `json:"line"`
}

// Growing watches one map that one goroutine writes to.
type Growing struct {
	Made      []Grown
	header    uintptr
	name      string
	arrays    map[uintptr]Array
	directory int
	entries   int
}

// Watch begins with the map as it is.
func Watch[M ~map[K]V, K comparable, V any](m M) *Growing {
	t := reflect.TypeOf(m)
	w := &Growing{header: *(*uintptr)(unsafe.Pointer(&m)), name: typeName(t)}
	w.Look(len(m))
	return w
}

// Look takes the map as it is now for what the next write begins with.
func (w *Growing) Look(entries int) {
	w.arrays, w.directory = Arrays(w.header)
	w.entries = entries
}

// Wrote notes what one write of this function and line, after which the map has so many entries, has replaced.
func (w *Growing) Wrote(entries, goroutine int, function string, line int) {
	arrays, directory := Arrays(w.header)
	fresh, slots := 0, 0
	for address, one := range arrays {
		if _, old := w.arrays[address]; !old {
			fresh, slots = fresh+1, slots+one.Slots
		}
	}
	for address, one := range w.arrays {
		if _, still := arrays[address]; still {
			continue
		}
		g := Grown{Map: hex(w.header), Type: w.name, Entries: w.entries, Slots: one.Slots, NewSlots: slots,
			Copied: one.Used, Goroutine: goroutine, Function: function, Line: line}
		switch {
		case !Swiss && slots == one.Slots:
			g.Kind = "same-size"
		case !Swiss:
			g.Kind = "doubling"
		case w.directory == 0:
			g.Kind = "first-table"
		case fresh == 1:
			g.Kind = "table"
		default:
			g.Kind = "split"
			if directory != w.directory {
				g.Directory = &directory
			}
		}
		w.Made = append(w.Made, g)
	}
	w.arrays, w.directory, w.entries = arrays, directory, entries
}
