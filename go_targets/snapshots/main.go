// Command snapshots keeps versions of a state that is never written to again: a
// new version copies the outer map and shares every inner map it does not change.
//
// Stages: three. v1, v2 and v3 share the inner maps like this:
//
//	         v1   v2   v3
//	ann      A1   A1   A1     (one map, three snapshots)
//	bob      B1   B2   B2
//	cleo     -    -    C3
//	Labels   L    L    L      (a field, shared by all)
package main

import (
	"runtime"

	"gomap.test/targets/truth"
)

type Scores map[string]int

type Snapshot struct {
	Version int
	Users   map[string]Scores
	Labels  map[int]string
}

// Keep holds the snapshots for builds in which the locals are gone, and for each
// inner map a name.
var Keep struct {
	Versions              [3]*Snapshot
	Ann, Bob1, Bob2, Cleo Scores
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// with makes the next snapshot, in which name has these scores.
func (s *Snapshot) with(name string, scores Scores) *Snapshot {
	users := make(map[string]Scores, len(s.Users)+1)
	for n, old := range s.Users {
		users[n] = old
	}
	users[name] = scores
	return &Snapshot{Version: s.Version + 1, Users: users, Labels: s.Labels}
}

func main() {
	truth.Stages("three")
	ann, bob1, bob2, cleo := Scores{"go": 3, "chess": 1}, Scores{"go": 1}, Scores{"go": 2}, Scores{}
	v1 := &Snapshot{Version: 1, Users: map[string]Scores{"ann": ann, "bob": bob1}, Labels: map[int]string{1: "one"}}
	v2 := v1.with("bob", bob2)
	v3 := v2.with("cleo", cleo)
	versions := []*Snapshot{v1, v2, v3}
	Keep.Versions = [3]*Snapshot{v1, v2, v3}
	Keep.Ann, Keep.Bob1, Keep.Bob2, Keep.Cleo = ann, bob1, bob2, cleo

	truth.Publish("three",
		truth.Of("v1.Users", v1.Users), truth.Of("v2.Users", v2.Users), truth.Of("v3.Users", v3.Users),
		truth.Of("v1.Labels", v1.Labels), truth.Of("v2.Labels", v2.Labels), truth.Of("v3.Labels", v3.Labels),
		truth.Of("main.Keep.Versions[0].Users", Keep.Versions[0].Users),
		truth.Of("main.Keep.Versions[1].Users", Keep.Versions[1].Users),
		truth.Of("main.Keep.Versions[2].Users", Keep.Versions[2].Users),
		truth.Of("main.Keep.Versions[2].Labels", Keep.Versions[2].Labels),
		truth.Of("ann", ann), truth.Of("main.Keep.Ann", ann),
		truth.Of("bob1", bob1), truth.Of("main.Keep.Bob1", bob1),
		truth.Of("bob2", bob2), truth.Of("main.Keep.Bob2", bob2),
		truth.Of("cleo", cleo), truth.Of("main.Keep.Cleo", cleo),
		truth.Of(`v1.Users["ann"]`, v1.Users["ann"]).Unnamed(), truth.Of(`v1.Users["bob"]`, v1.Users["bob"]).Unnamed(),
		truth.Of(`v2.Users["ann"]`, v2.Users["ann"]).Unnamed(), truth.Of(`v2.Users["bob"]`, v2.Users["bob"]).Unnamed(),
		truth.Of(`v3.Users["ann"]`, v3.Users["ann"]).Unnamed(), truth.Of(`v3.Users["bob"]`, v3.Users["bob"]).Unnamed(),
		truth.Of(`v3.Users["cleo"]`, v3.Users["cleo"]).Unnamed())
	stop("three")

	for i, v := range versions {
		truth.Check(v.Version == i+1 && v.Users["ann"]["go"] == 3 && len(v.Labels) == 1, "a snapshot")
	}
	runtime.KeepAlive([]any{v1, v2, v3, versions, ann, bob1, bob2, cleo})
	truth.Done()
}
