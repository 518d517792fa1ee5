// Command closures keeps maps that nothing but a closure holds, captured in every
// way that the compiler has: by value in one word, by value in a struct that is too
// large for registers, by reference, and as the receiver of a method value.
//
// Stages: captured, where the note closures tells which map each closure holds.
package main

import (
	"runtime"
	"unsafe"

	"gomap.test/targets/truth"
)

// Large is more than the four words that the compiler keeps in registers.
type Large struct {
	Number [4]int
	M      map[string]int
}

// Huge is more than the 128 bytes that are captured by value.
type Huge struct {
	Number [20]int
	M      map[string]int
}

func (l Large) Len() int { return len(l.M) + l.Number[0] }
func (h Huge) Len() int  { return len(h.M) + h.Number[0] }

// Keep holds the closures.
var Keep struct {
	Plain       func() int // a map by value
	Assigned    func() int // a map by reference
	First, Last func() int // a struct by value, in front of another variable and behind it
	Two         func() int // two structs by value whose first words are alike
	Changed     func() int // a struct by reference, the last
	Between     func() int // a struct by reference, in front of another variable
	Beyond      func() int // a struct by reference since it is huge
	Method      func() int
	HugeMethod  func() int
}

var held = map[string][]string{}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// hold makes a map that the closure of that name alone will hold.
func hold(closure string) map[string]int {
	m := map[string]int{closure: len(held), "": 1}
	held[closure] = append(held[closure], truth.Hex(*(*uintptr)(unsafe.Pointer(&m))))
	return m
}

//go:noinline
func capture(text string) {
	plain := hold("Plain")
	Keep.Plain = func() int { return len(plain) }

	assigned := hold("Assigned")
	Keep.Assigned = func() int { n := len(assigned); assigned = nil; return n }

	first := Large{M: hold("First")}
	Keep.First = func() int { return len(first.M) + len(text) }

	last := Large{M: hold("Last")}
	Keep.Last = func() int { return len(text) + len(last.M) }

	one, other := Large{M: hold("Two")}, Large{M: hold("Two")}
	Keep.Two = func() int { return len(one.M) + len(other.M) + len(text) }

	changed := Large{M: hold("Changed")}
	Keep.Changed = func() int { n := len(text) + len(changed.M); changed.M = nil; return n }

	between := Large{M: hold("Between")}
	Keep.Between = func() int { n := len(between.M); between.M = nil; return n + len(text) }

	beyond := Huge{M: hold("Beyond")}
	Keep.Beyond = func() int { return len(beyond.M) + len(text) }

	method := Large{M: hold("Method")}
	Keep.Method = method.Len
	huge := Huge{M: hold("HugeMethod")}
	Keep.HugeMethod = huge.Len
}

func main() {
	truth.Stages("captured")
	capture("text")
	truth.Note("closures", held)
	truth.Publish("captured")
	stop("captured")
	k := &Keep
	sum := k.Plain() + k.Assigned() + k.First() + k.Last() + k.Two() + k.Changed() + k.Between() + k.Beyond() +
		k.Method() + k.HugeMethod()
	truth.Check(sum == 22+6*4, "what the closures hold")
	truth.Done()
}
