package main

import "runtime"

//go:noinline
func down(n int, m map[string]int) int {
	if n == 0 {
		runtime.Breakpoint()
		return len(m)
	}
	return down(n-1, m) + 1
}

func main() {
	println(down(2000, map[string]int{"a": 1}))
}
