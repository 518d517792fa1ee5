package main // Runs out of memory while a map grows. Arguments: the way, which it has only one of, and a seed.

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

type row struct{ columns [8]int }

var (
	Rows = map[int]row{}
	room = make([]byte, 44<<20) // of the first arena: never touched, and so not in the core file
)

//go:noinline
func put(id int) {
	Rows[id] = row{}
}

func main() {
	seed, _ := strconv.Atoi(os.Args[2])
	os.Stdout.WriteString(`{"cause": "oom", "map": "main.Rows", "type": "map[int]main.row", ` +
		`"function": "main.put", "line": 20, "entries": 0}` + "\n")
	debug.SetMaxThreads(20)
	statm, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.Atoi(strings.Fields(string(statm))[0])
	most := uint64(pages*os.Getpagesize() + 4<<20)
	syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most})
	for id := seed; len(room) > 0; id++ {
		put(id)
	}
}
