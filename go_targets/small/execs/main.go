package main // Becomes itself again, by exec, for each byte of its input.

import (
	"fmt"
	"os"
	"syscall"
)

var M = map[string]int{"a": 1, "b": 2, "c": 3}

func main() {
	fmt.Println("begun")
	if n, _ := os.Stdin.Read(make([]byte, 1)); n == 1 {
		fmt.Fprintln(os.Stderr, syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	fmt.Println(len(M))
}
