// Command basic holds the plain maps of the README's first session.
//
// Stages: start.
package main

import (
	"fmt"
	"runtime"

	"gomap.test/targets/truth"
)

type Config struct {
	M    map[string]int
	List []map[int]bool
}

// Keep holds the locals too, for builds in which they live in registers.
var Keep struct {
	M     map[int]int
	Words map[string]int
	None  map[string]int
	Queue map[int]string
	Small map[string]bool
	Cfg   Config
	Any   any
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("start")
	m := map[int]int{}
	for i := 0; i < 1000; i++ {
		m[i] = i * i
	}
	words := map[string]int{}
	for i := 0; i < 26; i++ {
		words[fmt.Sprintf("word-%c", 'a'+i)] = i
	}
	var none map[string]int
	queue := map[int]string{}
	small := map[string]bool{"yes": true, "no": false, "": false}
	arr := [4]map[int]int{nil, {1: 1}, {}, m}
	cfg := Config{M: words, List: []map[int]bool{{7: true}, nil}}
	pm := &m
	var boxed any = small
	Keep.M, Keep.Words, Keep.None, Keep.Queue, Keep.Small, Keep.Cfg, Keep.Any = m, words, none, queue, small, cfg, boxed

	truth.Publish("start",
		truth.Of("m", m), truth.Of("main.Keep.M", m), truth.Of("*pm", *pm), truth.Of("arr[3]", arr[3]),
		truth.Of("words", words), truth.Of("main.Keep.Words", words),
		truth.Of("cfg.M", cfg.M), truth.Of("main.Keep.Cfg.M", cfg.M),
		truth.Of("none", none), truth.Of("main.Keep.None", none), truth.Of("arr[0]", arr[0]),
		truth.Of("queue", queue), truth.Of("main.Keep.Queue", queue), truth.Of("arr[2]", arr[2]),
		truth.Of("small", small), truth.Of("main.Keep.Small", small),
		truth.Of("boxed", boxed.(map[string]bool)), truth.Of("main.Keep.Any", boxed.(map[string]bool)),
		truth.Of("arr[1]", arr[1]), truth.Of("pm", *pm))
	stop("start")

	sum := 0
	for i := 0; i < 1000; i++ {
		sum += (*pm)[i] + arr[1][i]
	}
	truth.Check(sum == 332833500+1 && words["word-z"] == 25 && len(none)+len(queue) == 0 && len(boxed.(map[string]bool)) == 3, "the maps")
	runtime.KeepAlive([]any{m, words, none, queue, small, &arr, cfg, boxed})
	truth.Done()
}
