// Command cycles has values that lead back to themselves and values that do not, and with
// GOMAP_STAGE=overflow it dies of copying one.
//
// What it publishes of each, in the note "cycles": how many cycles there are, in Go's own words where they
// come back to, and the addresses of what lies on them. Each of these words is run as Go, too. The note "kinds" has
// how many kinds of cycles there are, and of how many types.
//
// Stages:
//
//	built
//	overflow   only with GOMAP_STAGE=overflow: main.deepCopy calls itself until the stack is full, and
//	           the program dies (with GOTRACEBACK=crash it leaves a core). The truth is published
//	           just before.
package main

import (
	"container/list"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"gomap.test/targets/truth"
)

type (
	Node struct {
		Value int
		Next  *Node
	}
	Tree struct {
		Name     string
		Parent   *Tree
		Children []*Tree
	}
	Ring   struct{ slots [3]*Ring }
	Nested []Nested
	Maps   map[string]Maps
	Seen   struct{ by map[*Seen]bool }
	Walker interface{ Next() Walker }
	Step   struct {
		pad  [40]byte
		next Walker
	}
	Slot struct {
		Name string
		Next atomic.Pointer[Slot]
	}
	Leaf struct {
		Numbers []int
		Names   map[string]*string
	}
	Mixed struct {
		Queue *list.List
		Root  *Tree
		Pair  *Node
	}
	Inner struct{ Up *Outer }
	Outer struct {
		Name  string
		Inner Inner
	}
)

func (s *Step) Next() Walker { return s.next }

// Keep has everything under a name that every build has.
var Keep struct {
	Self, Config, Shared, Nil, Two map[string]any
	Boxed, Big, Pointer            any
	Maps                           Maps
	Chain, Circle, Late            *Node
	Tree                           *Tree
	Slice                          []any
	Nested                         Nested
	Ring                           Ring
	Seen                           *Seen
	Walker                         Walker
	Sync                           sync.Map
	Slot                           Slot
	List                           *list.List
	Leaf                           Leaf
	Outer                          Outer
	Pairs                          []*Node
	Mixed                          Mixed
}

// fact is what the program knows of one variable. Text: where each cycle comes back to, null where
// it is too long to write. On: addresses of objects that lie on the cycles. Objects: how many the
// variable leads to, 0 where the program does not count them.
type fact struct {
	Cycles  int      `json:"cycles"`
	Text    []string `json:"text"`
	On      []string `json:"on"`
	Objects int      `json:"objects"`
	Length  int      `json:"length"`
}

func none(objects int) fact { return fact{Objects: objects} }

// one is a variable with one cycle. same: that its words, run as Go, come back to where it started.
func one(same bool, length int, text string, on ...any) fact {
	truth.Check(same, text)
	f := fact{Cycles: 1, Length: length}
	if text != "" {
		f.Text = []string{text}
	}
	for _, pointer := range on {
		f.On = append(f.On, fmt.Sprintf("%#x", address(pointer)))
	}
	return f
}

// address is where the pointer, or the map, in an interface points to.
func address(pointer any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&pointer))[1] }

func same(a, b any) bool { return address(a) == address(b) }

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// deepCopy is what somebody wrote who thought that maps are trees.
//
//go:noinline
func deepCopy(tree map[string]any) map[string]any {
	copied := make(map[string]any, len(tree))
	for key, value := range tree {
		if inner, ok := value.(map[string]any); ok {
			value = deepCopy(inner)
		}
		copied[key] = value
	}
	return copied
}

func main() {
	stages := []string{"built"}
	if os.Getenv("GOMAP_STAGE") == "overflow" {
		stages = append(stages, "overflow")
	}
	truth.Stages(stages...)
	self, facts := build()
	publish := func(stage string) {
		truth.Note("cycles", facts)
		truth.Publish(stage, truth.Of("main.Keep.Nil", Keep.Nil))
	}
	publish("built")
	stop("built")
	if os.Getenv("GOMAP_STAGE") == "overflow" {
		debug.SetMaxStack(256 << 10)
		publish("overflow")
		fmt.Println(len(deepCopy(self)))
	}
	runtime.KeepAlive(self)
	truth.Done()
}

func build() (map[string]any, map[string]fact) {
	k := &Keep
	const any_ = ".(map[string]interface {})"
	facts := map[string]fact{}

	self := map[string]any{"name": "self", "numbers": []int{1, 2}}
	self["self"] = self
	k.Self, k.Boxed = self, self
	is := same(self["self"].(map[string]any), self)
	back := `["self"]` + any_
	facts["self"] = one(is, 1, "self"+back+" -> self", self)
	facts["main.Keep.Self"] = one(is, 1, "main.Keep.Self"+back+" -> main.Keep.Self", self)
	boxed := "main.Keep.Boxed" + any_
	facts["main.Keep.Boxed"] = one(is, 1, boxed+back+" -> "+boxed, self)

	// The slice is three objects: what is in the interface, an element, what the element holds.
	k.Config = map[string]any{"db": map[string]any{"hosts": []any{"a", map[string]any{"name": "b"}}}}
	host := k.Config["db"].(map[string]any)["hosts"].([]any)[1].(map[string]any)
	host["config"] = k.Config
	facts["main.Keep.Config"] = one(
		same(k.Config["db"].(map[string]any)["hosts"].([]any)[1].(map[string]any)["config"].(map[string]any), k.Config), 5,
		`main.Keep.Config["db"]`+any_+`["hosts"].([]interface {})[1]`+any_+`["config"]`+any_+" -> main.Keep.Config",
		k.Config, host, k.Config["db"].(map[string]any))

	both := map[string]any{"n": 1}
	k.Shared = map[string]any{"a": both, "b": map[string]any{"c": both}, "t": "text", "l": []int{1}}
	facts["main.Keep.Shared"] = none(3)
	facts["main.Keep.Nil"] = none(0)

	k.Two = map[string]any{}
	k.Two["a"], k.Two["b"] = k.Two, map[string]any{"up": k.Two}
	b := k.Two["b"].(map[string]any)
	two := one(same(k.Two["a"].(map[string]any), k.Two), 0, `main.Keep.Two["a"]`+any_+" -> main.Keep.Two", k.Two, b)
	two.Cycles, two.Text = 2, append(two.Text, `main.Keep.Two["b"]`+any_+`["up"]`+any_+" -> main.Keep.Two")
	truth.Check(same(k.Two["b"].(map[string]any)["up"].(map[string]any), k.Two), two.Text[1])
	facts["main.Keep.Two"] = two

	k.Maps = Maps{"x": Maps{"y": nil}}
	k.Maps["x"]["z"] = k.Maps
	facts["main.Keep.Maps"] = one(same(k.Maps["x"]["z"], k.Maps), 2, `main.Keep.Maps["x"]["z"] -> main.Keep.Maps`, k.Maps, k.Maps["x"])

	chain := func(n int) (first, last *Node) {
		first = &Node{}
		for last = first; n > 1; n-- {
			last.Next = &Node{Value: n}
			last = last.Next
		}
		return
	}
	k.Chain, _ = chain(100000)
	facts["main.Keep.Chain"] = none(100000)
	var last, middle *Node
	k.Circle, last = chain(5)
	last.Next = k.Circle
	facts["main.Keep.Circle"] = one(k.Circle.Next.Next.Next.Next.Next == k.Circle, 5,
		"main.Keep.Circle"+strings.Repeat(".Next", 5)+" -> main.Keep.Circle", k.Circle, last)
	k.Late, last = chain(3000)
	middle = k.Late
	for i := 0; i < 2000; i++ {
		middle = middle.Next
	}
	last.Next = middle
	late := one(true, 1000, "", middle)
	late.Objects = 3000
	facts["main.Keep.Late"] = late

	k.Tree = &Tree{Name: "root"}
	child := &Tree{Name: "child", Parent: k.Tree}
	k.Tree.Children = []*Tree{nil, child}
	facts["main.Keep.Tree"] = one(k.Tree.Children[1].Parent == k.Tree, 3,
		"main.Keep.Tree.Children[1].Parent -> main.Keep.Tree", k.Tree, child, &k.Tree.Children[1])

	k.Slice = make([]any, 3)
	k.Slice[2] = k.Slice
	facts["main.Keep.Slice"] = one(same(&k.Slice[2].([]any)[2], &k.Slice[2]), 2,
		"main.Keep.Slice[2].([]interface {})[2] -> main.Keep.Slice[2]", &k.Slice[2])

	k.Nested = make(Nested, 1)
	k.Nested[0] = k.Nested
	facts["main.Keep.Nested"] = one(&k.Nested[0][0] == &k.Nested[0], 1, "main.Keep.Nested[0][0] -> main.Keep.Nested[0]", &k.Nested[0])

	k.Ring.slots[1] = &Ring{}
	k.Ring.slots[1].slots[2] = &k.Ring
	facts["main.Keep.Ring"] = one(k.Ring.slots[1].slots[2] == &k.Ring, 2,
		"main.Keep.Ring.slots[1].slots[2] -> main.Keep.Ring", &k.Ring, k.Ring.slots[1])

	k.Pointer = &k.Pointer
	facts["main.Keep.Pointer"] = one(*k.Pointer.(*any) == k.Pointer, 1,
		"(*main.Keep.Pointer.(*interface {})) -> main.Keep.Pointer", &k.Pointer)

	k.Seen = &Seen{}
	k.Seen.by = map[*Seen]bool{k.Seen: true}
	facts["main.Keep.Seen"] = one(k.Seen.by[k.Seen], 2, "", k.Seen, k.Seen.by)

	k.Walker = &Step{next: &Step{}}
	k.Walker.Next().(*Step).next = k.Walker
	facts["main.Keep.Walker"] = one(k.Walker.(*Step).next.(*Step).next.(*Step) == k.Walker.(*Step), 2,
		"main.Keep.Walker.(*main.Step).next.(*main.Step).next.(*main.Step) -> main.Keep.Walker.(*main.Step)",
		k.Walker, k.Walker.Next())

	k.Sync.Store("me", &k.Sync)
	k.Sync.Store("other", 1)
	me, _ := k.Sync.Load("me")
	facts["main.Keep.Sync"] = one(me == &k.Sync, 1, `main.Keep.Sync.Load("me").(*sync.Map) -> main.Keep.Sync`, &k.Sync)

	next := &Slot{Name: "next"}
	k.Slot.Next.Store(next)
	next.Next.Store(&k.Slot)
	facts["main.Keep.Slot"] = one(k.Slot.Next.Load().Next.Load() == &k.Slot, 2,
		"main.Keep.Slot.Next.Load().Next.Load() -> main.Keep.Slot", &k.Slot, next)

	// A doubly linked list: each element leads to the one before, and the ends to the list.
	k.List = list.New()
	k.List.PushBack("first")
	k.List.PushBack("second")
	facts["main.Keep.List"] = fact{Cycles: -1, On: []string{fmt.Sprintf("%#x", address(k.List.Front()))}}

	word := "word"
	k.Leaf = Leaf{Numbers: make([]int, 1<<20), Names: map[string]*string{"a": &word}}
	facts["main.Keep.Leaf"] = none(0)
	items := make([]any, 200000)
	for i := range items {
		items[i] = i
	}
	// What is in the interface, the slice in the map, and one element that holds a map.
	items[100000] = map[string]any{}
	k.Big = map[string]any{"items": items, "bytes": make([]byte, 64<<20), "words": map[string]string{"a": "b"}}
	facts["main.Keep.Big"] = none(4)

	// What points into the middle of an object, and from there back to its start.
	k.Outer.Inner.Up = &k.Outer
	facts["main.Keep.Outer"] = one(k.Outer.Inner.Up == &k.Outer, 1, "main.Keep.Outer.Inner.Up -> main.Keep.Outer", &k.Outer)
	facts["main.Keep.Outer.Inner"] = one(k.Outer.Inner.Up.Inner.Up == k.Outer.Inner.Up, 1,
		"main.Keep.Outer.Inner.Up.Inner.Up -> main.Keep.Outer.Inner.Up", &k.Outer)

	pairs := fact{Cycles: 40}
	for i := 0; i < 40; i++ {
		pair := &Node{Value: i}
		pair.Next = &Node{Value: -i, Next: pair}
		k.Pairs = append(k.Pairs, pair)
	}
	for _, pair := range k.Pairs[:16] {
		pairs.On = append(pairs.On, fmt.Sprintf("%#x", address(pair)))
	}
	facts["main.Keep.Pairs"] = pairs

	// A list, whose elements all lead to each other, a tree, whose children lead to their parent, and a pair.
	k.Mixed = Mixed{Queue: list.New(), Root: &Tree{Name: "root"}, Pair: k.Pairs[0]}
	for i := 0; i < 1000; i++ {
		k.Mixed.Queue.PushBack(i)
	}
	for i := 0; i < 50; i++ {
		k.Mixed.Root.Children = append(k.Mixed.Root.Children, &Tree{Parent: k.Mixed.Root})
	}
	truth.Note("children", len(k.Mixed.Root.Children))
	truth.Note("kinds", map[string]int{"main.Keep.List": 1, "main.Keep.Pairs": 1, "main.Keep.Tree": 1, "main.Keep.Mixed": 3})
	return self, facts
}
