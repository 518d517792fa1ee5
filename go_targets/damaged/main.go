// Command damaged damages its own maps through unsafe, each in one way that a data race or a stray write could
// leave behind, and stops once they all are: at stage damaged. At stage intact they all are as they should be.
//
// It prints what it did to the file that GOMAP_DAMAGE names, one JSON line a map: the expression that names the
// map, how it was damaged, and the kind of finding that tells so.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"

	"gomap.test/targets/truth"
)

// M has a map for each kind of damage.
var M = map[string]map[int]int{}

type Damage struct {
	Expr    string `json:"expr"`
	What    string `json:"what"`
	Finding string `json:"finding"`
	InWrite bool   `json:"in_write"` // a write that is stopped at some instruction leaves the map so
}

var done []Damage

// damage is one way of it: build makes the map, spoil damages it (its header is at h).
type damage struct {
	name    string
	finding string
	build   func() map[int]int
	spoil   func(t *target)
}

// target is a map under damage.
type target struct {
	header uintptr
	facts  truth.Facts
}

func main() {
	truth.Stages("intact", "damaged", "writing")
	debug.SetGCPercent(-1) // the collector would follow the damaged pointers
	for _, d := range damages {
		M[d.name] = d.build()
	}
	truth.Publish("intact", every()...)
	stop("intact")
	var lines []byte
	for _, d := range damages {
		m := M[d.name]
		t := &target{header: *(*uintptr)(unsafe.Pointer(&m)), facts: truth.Look(m)}
		d.spoil(t)
		line, err := json.Marshal(Damage{fmt.Sprintf(`main.M[%q]`, d.name), d.name, d.finding, inWrite[d.name]})
		truth.Check(err == nil, "JSON")
		lines = append(append(lines, line...), '\n')
	}
	if name := os.Getenv("GOMAP_DAMAGE"); name != "" {
		truth.Check(os.WriteFile(name, lines, 0o644) == nil, name)
	}
	truth.Publish("damaged")
	stop("damaged")
	for _, d := range damages {
		m := M[d.name]
		(&target{header: *(*uintptr)(unsafe.Pointer(&m))}).startWriting()
	}
	truth.Publish("writing")
	stop("writing")
	// Nothing uses the maps any more: the program could not survive it.
	truth.Done()
}

func every() (maps []truth.Map) {
	for _, d := range damages {
		// Looked at by key: ranging would leave flags behind.
		keys := []int{}
		for k := 0; k < 20000; k++ {
			keys = append(keys, k)
		}
		maps = append(maps, truth.Looked(fmt.Sprintf(`main.M[%q]`, d.name), M[d.name], keys))
	}
	return maps
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// filled is a map of n entries.
func filled(n int) func() map[int]int {
	return func() map[int]int {
		m := map[int]int{}
		for i := 0; i < n; i++ {
			m[i] = -i
		}
		return m
	}
}

// until is a map that entries are added to until its memory is as wanted. One whose seed never leads there, which
// there are few of, is given up for another.
func until(wanted func(f truth.Facts) bool) func() map[int]int {
	return func() map[int]int {
		for try := 0; try < 5; try++ {
			m := map[int]int{}
			for i := 0; i < 5000; i++ {
				if wanted(truth.Look(m)) {
					return m
				}
				m[i] = -i
			}
		}
		panic("no map is as wanted")
	}
}

func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

func (t *target) key(bucket uintptr, slot int) *int {
	return at[int](bucket + t.facts.Shape.KeysOff + uintptr(slot)*t.facts.Shape.KeyStride)
}

// word and byte are fields of the header, by their offset.
func (t *target) word(offset uintptr) *uintptr { return at[uintptr](t.header + offset) }
func (t *target) byte(offset uintptr) *uint8   { return at[uint8](t.header + offset) }

func (t *target) mark(bucket uintptr, slot int) *uint8 { return at[uint8](bucket + uintptr(slot)) }
