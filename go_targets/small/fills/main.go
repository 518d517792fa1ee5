package main

import "fmt"

func fill(m map[string]int, n int) {
	m[fmt.Sprint("k", n)] = n
}

func main() {
	fill(map[string]int{}, 0)
	m := map[string]int{}
	for i := 0; i < 10; i++ {
		fill(m, i)
	}
	fmt.Println(len(m))
}
