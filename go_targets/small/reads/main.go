package main // Reads a line from its terminal into a map, and prints in line 15.

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	m, lines := map[string]int{}, bufio.NewScanner(os.Stdin)
	state, _ := os.Stdout.Stat()
	fmt.Println("a terminal:", state.Mode()&os.ModeCharDevice != 0)
	lines.Scan()
	m[lines.Text()] = 1
	fmt.Println(len(m))
}
