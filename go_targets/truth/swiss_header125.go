//go:build go1.26 || (goexperiment.swissmap && go1.25)

package truth

// swissMap mirrors internal/runtime/maps.Map from Go 1.25 on.
type swissMap struct {
	used              uint64
	seed              uintptr
	dirPtr            uintptr
	dirLen            int
	globalDepth       uint8
	globalShift       uint8
	writing           uint8
	tombstonePossible bool
	clearSeq          uint64
}

func (m *swissMap) tombstones() *bool {
	possible := m.tombstonePossible
	return &possible
}
