package main

func main() {
	m := map[string]int{"a": 1}
	var n map[string]int
	println(len(m))
	n["x"] = 1
}
