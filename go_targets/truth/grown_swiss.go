//go:build go1.26 || goexperiment.swissmap

package truth

import "unsafe"

// Arrays are what the map keeps its entries in, with their slots and how many entries each has: its group or its
// tables, and the length of its directory.
func Arrays(header uintptr) (arrays map[uintptr]Array, directory int) {
	m := at[swissMap](header)
	if m.dirPtr == 0 {
		return nil, 0
	}
	if m.dirLen == 0 {
		return map[uintptr]Array{m.dirPtr: {Slots: 8, Used: int(m.used)}}, 0
	}
	arrays = map[uintptr]Array{}
	for _, address := range unsafe.Slice(at[uintptr](m.dirPtr), m.dirLen) {
		t := at[table](address)
		arrays[address] = Array{Slots: int(t.capacity), Used: int(t.used)}
	}
	return arrays, m.dirLen
}
