package main // A program that stops where a map is made, and has not been.

//go:noinline
func stop(m map[int]int) {}

func main() {
	m := map[int]int{1: 1}
	for i := 0; i < 1; i++ {
		m := map[int]int{1: len(m), 2: 2}
		stop(m)
	}
}
