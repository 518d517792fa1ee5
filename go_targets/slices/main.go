// Command slices copies a struct with a slice field: both copies write to one
// array. The note "slices" has every slice with the address of its first element.
//
// Stage "shared": main.main has two copies of a struct, a part of the array, one
// with room for append to write into the other, and an array of its own; Other
// goroutine holds a part too.
package main

import (
	"runtime"
	"unsafe"

	"gomap.test/targets/truth"
)

type Order struct {
	Name  string
	Lines []Line
}

type Line struct {
	Amount int
	Text   string
}

type fact struct {
	Address string `json:"address"`
	Length  int    `json:"length"`
	Room    int    `json:"room"`
}

// Kept holds what main's locals hold, for builds in which they are gone.
var Kept struct {
	First, Second Order
	Tail, Room    []Line
	Own           []Line
	ByKey         map[string][]Line
	Lists         [][]int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func of[T any](s []T) fact {
	return fact{hex(uintptr(unsafe.Pointer(unsafe.SliceData(s)))), len(s), cap(s)}
}

func hex(n uintptr) string {
	const digits = "0123456789abcdef"
	text := ""
	for ; n > 0; n /= 16 {
		text = digits[n%16:n%16+1] + text
	}
	return "0x" + text
}

//go:noinline
func hold(part []Line, ready, release chan bool) {
	ready <- true
	<-release
	truth.Check(len(part) == 2, "the goroutine's part")
	ready <- true
}

func main() {
	truth.Stages("shared")
	first := Order{"first", make([]Line, 4, 6)}
	second := first
	second.Name = "second"
	tail := first.Lines[2:]
	room := first.Lines[:1:1]
	own := append([]Line(nil), first.Lines...)
	numbers := []int{1, 2, 3, 4}
	lists := [][]int{numbers[:2], numbers[2:], numbers[1:3]}
	byKey := map[string][]Line{"one": first.Lines[1:2]}
	Kept.First, Kept.Second, Kept.Tail, Kept.Room, Kept.Own, Kept.ByKey, Kept.Lists = first, second, tail, room, own, byKey, lists
	ready, release := make(chan bool), make(chan bool)
	part := first.Lines[1:3]
	go hold(part, ready, release)
	<-ready
	truth.Parked(0)
	truth.Note("slices", map[string]fact{
		"first.Lines": of(first.Lines), "second.Lines": of(second.Lines), "tail": of(tail), "room": of(room), "own": of(own),
		"lists[0]": of(lists[0]), "lists[1]": of(lists[1]), "lists[2]": of(lists[2]), "lists": of(lists),
		`byKey["one"]`: of(byKey["one"]), "part": of(part),
		"main.Kept.First.Lines": of(Kept.First.Lines), "main.Kept.Second.Lines": of(Kept.Second.Lines),
		"main.Kept.Tail": of(Kept.Tail), "main.Kept.Room": of(Kept.Room), "main.Kept.Own": of(Kept.Own),
		`main.Kept.ByKey["one"]`: of(Kept.ByKey["one"]), "main.Kept.Lists": of(Kept.Lists),
		"main.Kept.Lists[0]": of(Kept.Lists[0]), "main.Kept.Lists[1]": of(Kept.Lists[1]), "main.Kept.Lists[2]": of(Kept.Lists[2]),
	})
	truth.Publish("shared", truth.Of("main.Kept.ByKey", Kept.ByKey))
	stop("shared")
	second.Lines[3].Amount = 7
	truth.Check(tail[1].Amount == 7 && own[3].Amount == 0, "one array")
	close(release)
	<-ready
	runtime.KeepAlive([]any{&first, &second, tail, room, own, lists, byKey, part})
	truth.Done()
}
