package main

import "os"

type Item struct{ N int }

var Items = map[string]Item{}

func put(m map[string]Item) { println(len(m), len(os.Args)) }

func main() {
	m := map[string]Item{}
	for _, name := range []string{"a", "b", "c"} {
		m[name] = Item{1}
		Items[name] = Item{1}
		put(m)
	}
}
