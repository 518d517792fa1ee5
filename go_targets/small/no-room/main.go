package main // The optimised build keeps nothing of the capacity of `all`, as no more is appended.

import "os"

//go:noinline
func stop() {}

//go:noinline
func made(n int) []map[int]int {
	var all []map[int]int
	for i := 0; i < n; i++ {
		all = append(all, map[int]int{i: i})
	}
	return all
}

func main() {
	total := 0
	all := made(len(os.Args) + 2)
	for _, m := range all {
		stop()
		total += len(m)
	}
	println(total)
}
