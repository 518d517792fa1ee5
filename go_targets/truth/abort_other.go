//go:build !(linux && (amd64 || 386 || arm64))

package truth

func abort() { panic("GOMAP_ABORT works on linux/amd64, 386 and arm64 only") }
