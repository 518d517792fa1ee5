//go:build !go1.26 && !goexperiment.swissmap

package truth

// Arrays are what the map keeps its entries in, with their slots and how many entries each has: its bucket array.
// It has no directory.
func Arrays(header uintptr) (arrays map[uintptr]Array, directory int) {
	h := at[hmap](header)
	if h.buckets == 0 {
		return nil, 0
	}
	return map[uintptr]Array{h.buckets: {Slots: 8 << h.B, Used: h.count}}, 0
}
