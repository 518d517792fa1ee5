// Command nilwrite passes a struct with a nil map down to a function that writes
// to it.
//
// Stages:
//
//	before    main.record, about to write
//	panic     only with GOMAP_STAGE=panic: main.record writes, and the program
//	          dies of the panic (with GOTRACEBACK=crash it leaves a core). No
//	          breakpoint is hit; the truth is published just before.
package main

import (
	"os"
	"runtime"

	"gomap.test/targets/truth"
)

type Stats struct {
	Name   string
	Counts map[string]int
	Seen   map[int]bool
}

type Service struct {
	Stats Stats
	Peers []string
}

// Keep is the service whose author forgot to make Counts.
var Keep *Service

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	stages := []string{"before"}
	if os.Getenv("GOMAP_STAGE") == "panic" {
		stages = append(stages, "panic")
	}
	truth.Stages(stages...)
	service := &Service{Stats: Stats{Name: "requests", Seen: map[int]bool{1: true}}, Peers: []string{"a", "b"}}
	Keep = service
	serve(service)
	truth.Check(service.Stats.Counts == nil && len(service.Stats.Seen) == 1, "the service")
	truth.Done()
}

//go:noinline
func serve(service *Service) {
	for _, peer := range service.Peers[:1] {
		record(service.Stats, service, peer)
	}
}

//go:noinline
func record(stats Stats, service *Service, peer string) {
	counts := stats.Counts
	publish := func(stage string) {
		truth.Publish(stage,
			truth.Of("counts", counts), truth.Of("stats.Counts", stats.Counts), truth.Of("stats.Seen", stats.Seen),
			truth.Of("service.Stats.Counts", service.Stats.Counts),
			truth.Of("main.Keep.Stats.Counts", Keep.Stats.Counts), truth.Of("main.Keep.Stats.Seen", Keep.Stats.Seen))
	}
	publish("before")
	stop("before")
	if os.Getenv("GOMAP_STAGE") == "panic" {
		publish("panic")
		counts[peer]++
	}
	runtime.KeepAlive([]any{counts, &stats, service, peer})
}
