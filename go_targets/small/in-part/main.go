package main // The optimised build keeps the maps of `r`, and nothing of its name.

import "os"

type registry struct {
	name  string
	byID  map[int]string
	other map[string]int
}

//go:noinline
func stop(n int) {}

func (r registry) grow(n int) int {
	for i := 0; i < n; i++ {
		r.byID[i] = "v"
		stop(len(r.byID))
	}
	return len(r.byID) + len(r.other)
}

//go:noinline
func run(n int) int {
	r := registry{"r", map[int]string{}, map[string]int{"a": 1}}
	return r.grow(n)
}

func main() {
	println(run(len(os.Args) + 2))
}
