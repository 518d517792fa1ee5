package truth

import (
	"bytes"
	"runtime"
	"strconv"
)

// Goid is the id of the goroutine that calls it.
func Goid() int {
	text := make([]byte, 64)
	text = text[:runtime.Stack(text, false)]
	id, err := strconv.Atoi(string(bytes.Fields(text)[1]))
	if err != nil {
		panic(err)
	}
	return id
}

// Heap is the bytes of live heap objects, each counted with its whole size class.
func Heap() uint64 {
	var stats runtime.MemStats
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
