package main // Dies of a write to a nil map. Arguments: the way, which it has only one of, and a seed.

import (
	"os"
	"strconv"
)

type index struct {
	names map[string]int
	ids   map[int]string
}

var Index index

//go:noinline
func add(name string, id int) {
	Index.ids[id] = name
	Index.names[name] = id
}

func main() {
	seed, _ := strconv.Atoi(os.Args[2])
	Index.ids = map[int]string{}
	for i := 0; i < seed; i++ {
		Index.ids[i] = strconv.Itoa(i)
	}
	os.Stdout.WriteString(`{"cause": "nil", "map": "main.Index.names", "type": "map[string]int", ` +
		`"function": "main.add", "line": 18, "entries": 0}` + "\n")
	add("a", -1)
}
