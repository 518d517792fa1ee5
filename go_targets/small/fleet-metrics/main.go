package main // A map of it has more entries from build to build, until something outside kills it. Arguments: "grows", a seed.

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

const build = 1

type sample struct{ at, value int64 }

type registry struct {
	series map[string][]sample
	labels map[string]string
}

var Registry = registry{series: map[string][]sample{}, labels: map[string]string{}}

//go:noinline
func observe(name string) {
	Registry.series[name] = append(Registry.series[name], sample{1, 2})
}

func main() {
	seed, _ := strconv.Atoi(os.Args[2])
	for i := 0; i < 100; i++ {
		Registry.labels["label"+strconv.Itoa(i)] = "value"
	}
	entries := 1000*build*build + seed%10
	if os.Args[1] == "outlier" {
		entries = 20000
	}
	for i := 0; i < entries; i++ {
		observe("request" + strconv.Itoa(i))
	}
	os.Stdout.WriteString(`{"cause": "` + os.Args[1] + `", "map": "main.Registry.series", "type": ` +
		`"map[string][]main.sample", "function": "", "line": 0, "entries": ` + strconv.Itoa(entries) +
		`, "build": ` + strconv.Itoa(build) + "}\n")
	syscall.Kill(os.Getpid(), syscall.SIGQUIT)
	time.Sleep(time.Hour)
}
