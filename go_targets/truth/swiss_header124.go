//go:build goexperiment.swissmap && !go1.25

package truth

// swissMap mirrors internal/runtime/maps.Map of Go 1.24.
type swissMap struct {
	used        uint64
	seed        uintptr
	dirPtr      uintptr
	dirLen      int
	globalDepth uint8
	globalShift uint8
	writing     uint8
	clearSeq    uint64
}

func (m *swissMap) tombstones() *bool { return nil }
