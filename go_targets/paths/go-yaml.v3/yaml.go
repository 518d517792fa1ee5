// Package yaml has a dot in its path, which the linker writes as %2e, and a dash.
package yaml

type Node struct {
	Name string
	Tags map[string]int
}

var Known = map[string]*Node{"a.b": {"n", map[string]int{"x": 1}}}

type Node2 struct {
	N int
	M *map[string]int
}
