// Command paths has maps behind everything that a path can lead through, with keys, types, names and packages that are
// hard to write.
//
// Stage "held". The note "paths" tells the header that each expression leads to, "globals" the headers of all maps that
// package variables lead to, "captured" those of them that only closures have, and "locals" those that variables of
// functions lead to.
package main

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	acache "gomap.test/targets/paths/a/cache"
	bcache "gomap.test/targets/paths/b/cache"
	yaml "gomap.test/targets/paths/go-yaml.v3"
	thing "gomap.test/targets/paths/thing/v2"
	ccache "gomap.test/targets/paths/x.y/cache"
	"gomap.test/targets/truth"
)

type Counts = map[string]int

type Named map[string]int

type Point struct {
	X, Y int
	_    int32
}

type Pair[K comparable, V any] struct {
	Key   K
	Value V
	M     map[K]V
}

type Base struct {
	Inner  Counts
	Hidden Counts
}

type Generic[T any] struct{ Of map[string]T }

type Embeds struct {
	Base
	*Pair[string, int]
	Generic[acache.Item[int]]
	Hidden Counts // which hides Base's
	_      Counts
	_      Counts
	Größe  Counts
	名前     Counts
}

type Node struct {
	Next  *Node
	Other *Node
	M     Counts
}

// Keyed is a key that leads to maps.
type Keyed struct {
	Name string
	M    *Counts
	I    any
}

type Holder interface{ Held() Counts }
type valued struct{ m Counts }
type pointed struct {
	n int
	m Counts
}

func (v valued) Held() Counts   { return v.m }
func (p *pointed) Held() Counts { return p.m }

func (p *pointed) add(n int) int { p.n += n; return p.n }

var W struct {
	structs map[struct {
		A int
		B string
	}]Counts
	arrays    map[[2]any]Counts
	anys      map[any]Counts
	floats    map[float64]Counts
	complexes map[complex128]Counts
	strings   map[string]Counts
	named     map[[1]string]Named
	pointers  map[*pointed]Counts
	pointees  map[*pointed]int
	keyed     map[Keyed]int
	ifkeyed   map[any]int
	holders   map[Holder]Holder
	chans     map[chan int]Counts
	nested    map[string]map[int]map[any]Counts
	bools     map[bool]Counts
	embeds    Embeds
	pembeds   *Embeds
	boxes     []any
	held      []Holder
	funcs     []func() int
	method    func(int) int
	ch        chan any
	chch      chan chan Counts
	cow       atomic.Pointer[Counts]
	box       atomic.Pointer[Pair[string, acache.Item[bcache.Item[int]]]]
	val       atomic.Value
	plain     sync.Map
	psync     *sync.Map
	syncs     map[string]*sync.Map
	long      *Node
	loop      *Node
	ring      [2][3]Counts
	slices    [][]Counts
	pp        **Counts
	grid      map[[2][2]Point]Counts
	yaml      map[yaml.Node2]Counts
}

var (
	Größen = Counts{"ä": 1}
	名      = Counts{"b": 1}
	main_  = Counts{"c": 1}
	Local  any
	other  any
	Twins  map[any]Counts
	Apart  []any
)

//go:noinline
func stop(stage string, args ...any) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

//go:noinline
func use(args ...any) {}

var (
	maps    = map[string]string{}
	headers = []string{}
	globals int
	kept    any
)

// leads notes the header that an expression leads to.
func leads[M ~map[K]V, K comparable, V any](m M, exprs ...string) M {
	kept = m // which keeps it off the stack, that may move
	kept = nil
	header := truth.Hex(*(*uintptr)(unsafe.Pointer(&m)))
	for _, expr := range exprs {
		truth.Check(maps[expr] == "", expr)
		maps[expr] = header
	}
	headers = append(headers, header)
	return m
}

var size int

func made(exprs ...string) Counts {
	m := Counts{}
	size++
	for i := 0; i < size%9+1; i++ {
		m[string(rune('a'+i))] = size
	}
	return leads(m, exprs...)
}

//go:noinline
func localOne() any {
	type local struct {
		A int
		M Counts
	}
	return map[any]any{"t": &local{1, made()}, local2(1): local2(2)}
}

type local2 int

//go:noinline
func localTwo() any {
	type local struct {
		Name string
		M    map[int]string
		A    int
	}
	type key struct{ N int8 }
	type keys map[key]Counts
	return []any{&local{"x", leads(map[int]string{1: "one"}), 3}, keys{{7}: made()}, map[any]Counts{key{1}: made()}}
}

//go:noinline
func localThree() any {
	type key struct{ A, B string }
	return map[any]Counts{key{"a", "b"}: made()}
}

// Types of one name, that functions declare.
//
//go:noinline
func twinsOne() []any {
	type twin int
	type set map[twin]int
	type pair struct {
		A Counts
		B int
	}
	return []any{twin(1), leads(set{1: 1, 2: 2}), &pair{A: made()}, set(nil)}
}

//go:noinline
func twinsTwo() []any {
	type twin int
	type set map[string][5]string
	type pair struct {
		B string
		A set
	}
	return []any{twin(1), leads(set{"a": {"b"}}), &pair{A: leads(set{"c": {"d"}})}, set(nil)}
}

//go:noinline
func lonely() any {
	type alone struct{ A any }
	return alone{alone{nil}}
}

func fill() {
	hex := func(p unsafe.Pointer) string { return truth.Hex(uintptr(p)) }
	W.structs = map[struct {
		A int
		B string
	}]Counts{{1, "x"}: made(`main.W.structs[{1, "x"}]`), {2, `{"y"}, `}: made(`main.W.structs[{A: 2, B: "{\"y\"}, "}]`)}
	W.arrays = map[[2]any]Counts{{1, "a"}: made(`main.W.arrays[[2]any{1, "a"}]`), {int8(1), Point{X: 1}}: made(),
		{nil, 1.0}: made(), {[1]any{struct{}{}}, true}: made()}
	p1, p2 := &pointed{1, made()}, &pointed{2, made()}
	ch := make(chan int)
	W.anys = map[any]Counts{1: made("main.W.anys[1]"), int8(1): made("main.W.anys[int8(1)]"), "1": made(`main.W.anys["1"]`),
		1.0: made("main.W.anys[1.0]"), float32(1): made("main.W.anys[float32(1)]"), nil: made("main.W.anys[nil]"),
		Point{X: 1}: made("main.W.anys[main.Point{X: 1}]"), p1: made("main.W.anys[(*main.pointed)(" + hex(unsafe.Pointer(p1)) + ")]"),
		(*pointed)(nil): made("main.W.anys[(*main.pointed)(nil)]"), ch: made(), (<-chan int)(ch): made(),
		[2]string{"a", "]"}: made(`main.W.anys[[2]string{"a", "]"}]`), struct{ A, B any }{1, "x"}: made(), struct{}{}: made(),
		Pair2[acache.Item2]{1, acache.Item2{N: 2}}: made(), acache.Item2{N: 1}: made(), bcache.Item2{N: 1}: made(),
		yaml.Node2{N: 1}: made(), math.NaN(): made(), 'x': made("main.W.anys[int32('x')]"), uint8(7): made("main.W.anys[byte(7)]"),
		1 + 2i: made("main.W.anys[1+2i]"), complex64(1): made(), uintptr(5): made("main.W.anys[uintptr(5)]"),
		struct {
			A int `json:"a,omitempty"`
		}{1}: made(), true: made("main.W.anys[true]"), unsafe.Pointer(p1): made()}
	W.floats = map[float64]Counts{math.NaN(): made(), 0: made("main.W.floats[0]"), math.Inf(-1): made("main.W.floats[-Inf]"),
		1e300: made("main.W.floats[1e300]"), 0.1: made("main.W.floats[0.1]")}
	W.floats[math.NaN()] = made()
	W.complexes = map[complex128]Counts{1 + 2i: made("main.W.complexes[1+2i]"), complex(0, math.Inf(1)): made(),
		complex(math.NaN(), 1): made()}
	long := string(make([]byte, 200))
	W.strings = map[string]Counts{"": made(`main.W.strings[""]`), `q"q`: made(`main.W.strings["q\"q"]`),
		"] .x": made(`main.W.strings["] .x"]`), "`": made("main.W.strings[\"`\"]"), "'": made(`main.W.strings["'"]`),
		"\xff\xfe": made(`main.W.strings["\xff\xfe"]`), "\x00\n\t": made(`main.W.strings["\x00\n\t"]`), "--json": made(`main.W.strings["--json"]`),
		" --goroutine 3 ": made(`main.W.strings[" --goroutine 3 "]`), "\u202e": made(`main.W.strings["\u202e"]`),
		"日本": made(`main.W.strings["日本"]`), `\`: made(`main.W.strings["\\"]`), "/* x */": made(`main.W.strings["/* x */"]`),
		"...": made(`main.W.strings["..."]`), "a...+3 bytes": made(`main.W.strings["a...+3 bytes"]`), long + "a": made(), long + "b": made()}
	W.named = map[[1]string]Named{{"a"}: Named(made(`main.W.named[{"a"}]`))}
	W.pointers = map[*pointed]Counts{p1: made(), p2: made(), nil: made("main.W.pointers[nil]")}
	W.pointees = map[*pointed]int{{3, made()}: 1, p2: 2}
	part, inner := made(), made()
	W.keyed = map[Keyed]int{{"k", &part, p1}: 1, {"k", nil, &inner}: 2, {"k", nil, &pointed{4, made()}}: 3}
	W.ifkeyed = map[any]int{&pointed{5, made()}: 1, Keyed{"k", &part, nil}: 2, [1]*pointed{{6, made()}}: 3}
	v := &valued{made()}
	W.holders = map[Holder]Holder{p1: valued{made()}, v: p2}
	W.chans = map[chan int]Counts{ch: made(), nil: made("main.W.chans[nil]")}
	W.nested = map[string]map[int]map[any]Counts{"x": {1: {"y": made(`main.W.nested["x"][1]["y"]`)}}}
	W.bools = map[bool]Counts{true: made("main.W.bools[true]")}
	W.embeds = Embeds{Base: Base{made("main.W.embeds.Inner", "main.W.embeds.Base.Inner"), made("main.W.embeds.Base.Hidden")},
		Pair: &Pair[string, int]{M: made("main.W.embeds.M", "main.W.embeds.Pair.M")}, Hidden: made("main.W.embeds.Hidden"),
		Generic: Generic[acache.Item[int]]{map[string]acache.Item[int]{"i": {1, made(`main.W.embeds.Of["i"].Tags`)}}},
		Größe:   made("main.W.embeds.Größe"), 名前: made("main.W.embeds.名前")}
	W.pembeds = &W.embeds
	fields := struct {
		A Counts `json:"a"`
		B struct{ C Counts }
	}{A: made()}
	fields.B.C = made()
	pc := made()
	ppc := &pc
	W.pp = &ppc
	W.boxes = []any{fields, &fields, [2]Counts{made(), made()}, []Counts{made()}, &ppc, any(&pc), Pair[acache.Item2, []bcache.Item[string]]{
		Value: []bcache.Item[string]{{"v", leads(map[string]string{"t": "T"})}}}, &Pair[yaml.Node2, ccache.Item[yaml.Node]]{M: nil,
		Value: ccache.Item[yaml.Node]{Tags: leads(map[string]yaml.Node{"n": {"n", made()}})}},
		map[struct{ X int }]struct{ Y Counts }{{1}: {made()}}, func(a int, b ...string) (Counts, error) { return fields.A, nil },
		&struct{ any }{made()}, Holder(valued{made()}), []any{[]any{map[string]any{"k": []any{made()}}}},
		map[string]func(chan<- map[string]struct{}) <-chan int{}, Named(made())}
	chd := make(chan<- Counts, 2)
	chd <- made()
	W.boxes = append(W.boxes, chd, (*struct{ M Counts })(&struct{ M Counts }{made()}))
	Local, other = localOne(), []any{localTwo(), localThree()}
	one, two := twinsOne(), twinsTwo()
	Twins, Apart = map[any]Counts{one[0]: made(), two[0]: made()}, []any{one, two}
	W.held = []Holder{valued{made()}, p1, v}
	x, y := made(), Counts(nil)
	zähler := made()
	W.funcs = []func() int{func() int { return len(x) + len(zähler) }, func() int { y = x; return len(y) }, nil}
	y = made()
	captured := headers[len(headers)-3:]
	W.method = p1.add
	W.ch = make(chan any, 3)
	W.ch <- made("main.W.ch[0]")
	W.ch <- &Pair[string, int]{M: made("main.W.ch[1].M")}
	W.chch = make(chan chan Counts, 1)
	in := make(chan Counts, 1)
	in <- made("main.W.chch[0][0]")
	W.chch <- in
	cow := made("main.W.cow.Load()")
	W.cow.Store(&cow)
	W.box.Store(&Pair[string, acache.Item[bcache.Item[int]]]{Value: acache.Item[bcache.Item[int]]{
		Tags: leads(map[string]bcache.Item[int]{"t": {1, made(`main.W.box.Load().Value.Tags["t"].Tags`)}}, "main.W.box.Load().Value.Tags")}})
	W.val.Store(struct{ m Counts }{made()})
	W.plain.Store("k", made(`main.W.plain.Load("k")`))
	W.plain.Store(struct{ A int }{1}, made())
	W.plain.Store(p1, made())
	W.plain.Store(&pointed{7, made()}, 1)
	W.plain.Store(math.NaN(), made())
	W.plain.Store(long, made())
	W.plain.Store(Apart[0].([]any)[0], made())
	W.plain.Store(Apart[1].([]any)[0], made())
	W.plain.Store(lonely(), made())
	W.psync = &sync.Map{}
	W.psync.Store(1, &W.plain)
	W.psync.Store(2, made("main.W.psync.Load(2)"))
	W.syncs = map[string]*sync.Map{"s": {}}
	W.syncs["s"].Store("t", map[string]Counts{"u": made(`main.W.syncs["s"].Load("t")["u"]`)})
	for i := 0; i < 90; i++ {
		W.long = &Node{Next: W.long, M: made()}
	}
	W.loop = &Node{M: made("main.W.loop.M")}
	W.loop.Next = &Node{Next: W.loop, M: made("main.W.loop.Next.M")}
	W.ring = [2][3]Counts{{1: made("main.W.ring[0][1]")}, {made("main.W.ring[1][0]")}}
	W.slices = [][]Counts{nil, {made("main.W.slices[1][0]"), nil, made("main.W.slices[1][2]")}}
	W.grid = map[[2][2]Point]Counts{{{{X: 1}}}: made()}
	W.yaml = map[yaml.Node2]Counts{{N: 1}: made("main.W.yaml[{1}]"), {N: 2, M: &part}: made()}
	leads(Größen, "main.Größen")
	leads(名, "main.名")
	leads(main_, "main.main_")
	leads(acache.Maps, "gomap.test/targets/paths/a/cache.Maps")
	leads(bcache.Maps, "gomap.test/targets/paths/b/cache.Maps")
	leads(ccache.Maps, "gomap.test/targets/paths/x.y/cache.Maps")
	leads(yaml.Known, "gomap.test/targets/paths/go-yaml%2ev3.Known",
		"gomap.test/targets/paths/go-yaml.v3.Known", "yaml.Known")
	leads(yaml.Known["a.b"].Tags, `yaml.Known["a.b"].Tags`)
	leads(thing.Registry, "gomap.test/targets/paths/thing/v2.Registry", "thing.Registry")
	leads(thing.Registry["v2"], `thing.Registry["v2"]`)
	truth.Note("captured", captured)
	truth.Note("globals", headers)
	globals = len(headers)
}

type Pair2[T any] struct {
	N int
	V T
}

//go:noinline
func generic[K comparable, V any](k K, v V, wait *sync.WaitGroup, done chan int) {
	m := leads(map[K]map[string]V{k: leads(map[string]V{"v": v})})
	box := any(Pair[K, V]{k, v, nil})
	list := []Generic[V]{{leads(map[string]V{"w": v})}}
	fn := func() int { return len(m) + len(list) }
	wait.Done()
	<-done
	truth.Check(fn() == 2, "what fn holds")
	use(box, m, list)
}

// deeper calls itself: each of its frames has an m of its own. In the innermost block m is another.
//
//go:noinline
func deeper(n int, wait *sync.WaitGroup, done chan int) {
	m := made()
	time := struct{ m Counts }{made()}
	if n > 0 {
		deeper(n-1, wait, done)
	} else {
		m := map[string]Counts{"in": made()}
		for m := range m {
			headers := leads(map[string]string{m: m})
			wait.Done()
			<-done
			use(headers)
		}
		use(m)
	}
	use(m, time)
}

// hide has locals that are called as packages are, and as package variables.
//
//go:noinline
func hide(main, unique struct {
	W, uniqueMaps struct{ anys, strings Counts }
}, wait *sync.WaitGroup, done chan int) {
	acache := struct{ Maps Counts }{made()}
	W := struct{ ch []Counts }{[]Counts{made()}}
	truth.Note("paths", maps)
	truth.Note("locals", headers[globals:])
	truth.Publish("held")
	stop("held", acache, W, main, unique)
}

func main() {
	truth.Stages("held")
	fill()
	var wait sync.WaitGroup
	done := make(chan int)
	wait.Add(5)
	go generic("k", yaml.Node2{N: 1}, &wait, done)
	go generic(Point{X: 1}, acache.Item[int]{1, made()}, &wait, done)
	go generic(yaml.Node2{N: 2}, &pointed{8, made()}, &wait, done)
	go generic(3, func() int { return 1 }, &wait, done)
	go deeper(3, &wait, done)
	wait.Wait()
	truth.Parked(0)
	var args struct {
		W, uniqueMaps struct{ anys, strings Counts }
	}
	args.W.anys, args.W.strings = made(), made()
	hide(args, args, &wait, done)
	close(done)
	truth.Done()
}
