package main // A stack that grows at every call of deep, whose callers' callers each hold a map.

import (
	"runtime"
	"time"
)

//go:noinline
func deep(n int) int {
	var room [200]int
	room[n%200] = n
	if n > 0 {
		n = deep(n - 1)
	}
	return room[n%200]
}

//go:noinline
func inner(m map[string]int) int {
	m["deep"] = deep(200)
	return len(m)
}

//go:noinline
func outer(m map[int]int) { m[2] = inner(map[string]int{"a": 1}) }

func main() {
	runtime.GOMAXPROCS(1)
	runtime.Breakpoint()
	go outer(map[int]int{1: 1})
	time.Sleep(time.Hour)
}
