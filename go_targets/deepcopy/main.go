// Command deepcopy copies a map in the ways that give a separate one.
//
// Stages: copied.
//
//	m          the original, grown an insert at a time
//	loop       filled in a loop, preallocated with make(..., len(m))
//	unsized    filled in a loop, not preallocated
//	roomy      the same, preallocated for four times as many: lower load
//	cloned     maps.Clone
//	fromJSON, fromGob   through encoding/json and encoding/gob
package main

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"

	"gomap.test/targets/truth"
)

// Keep holds what main's locals hold, for builds in which they are gone.
var Keep struct {
	M, Loop, Unsized, Roomy, Cloned, FromJSON, FromGob map[string]int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("copied")
	m := map[string]int{}
	for i := 0; i < 500; i++ {
		m[fmt.Sprint("key ", i)] = i
	}
	loop := make(map[string]int, len(m))
	unsized := map[string]int{}
	roomy := make(map[string]int, 4*len(m))
	for k, v := range m {
		loop[k], unsized[k], roomy[k] = v, v, v
	}
	cloned := maps.Clone(m)
	var fromJSON, fromGob map[string]int
	text, err := json.Marshal(m)
	truth.Check(err == nil && json.Unmarshal(text, &fromJSON) == nil, "the JSON round trip")
	var buffer bytes.Buffer
	truth.Check(gob.NewEncoder(&buffer).Encode(m) == nil && gob.NewDecoder(&buffer).Decode(&fromGob) == nil, "the gob round trip")

	Keep.M, Keep.Loop, Keep.Unsized, Keep.Roomy = m, loop, unsized, roomy
	Keep.Cloned, Keep.FromJSON, Keep.FromGob = cloned, fromJSON, fromGob
	truth.Publish("copied",
		truth.Of("m", m), truth.Of("main.Keep.M", m),
		truth.Of("loop", loop), truth.Of("main.Keep.Loop", loop),
		truth.Of("unsized", unsized), truth.Of("main.Keep.Unsized", unsized),
		truth.Of("roomy", roomy), truth.Of("main.Keep.Roomy", roomy),
		truth.Of("cloned", cloned), truth.Of("main.Keep.Cloned", cloned),
		truth.Of("fromJSON", fromJSON), truth.Of("main.Keep.FromJSON", fromJSON),
		truth.Of("fromGob", fromGob), truth.Of("main.Keep.FromGob", fromGob))
	stop("copied")

	for _, c := range []map[string]int{loop, unsized, roomy, cloned, fromJSON, fromGob} {
		truth.Check(maps.Equal(m, c), "a copy")
	}
	runtime.KeepAlive([]any{m, loop, unsized, roomy, cloned, fromJSON, fromGob})
	truth.Done()
}
