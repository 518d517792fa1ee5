// Command exprs has values that people name in every way that Go has: type assertions, promoted fields, indexes that
// are variables, conversions, what atomics and sync.Maps hold, variables of closures, and keys of every type, some
// of which look alike.
//
// Stages: named, where the note maps tells the header that each expression leads to, and the note keys the value
// that each key of a map has.
package main

import (
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"gomap.test/targets/truth"
)

type Fields map[string]any
type Entry struct {
	Data Fields
	Ctx  *Ctx
}
type Ctx struct{ vals map[any]any }

type structInfo struct {
	nameMap map[string]*fieldInfo
	pk      []string
}
type structValue struct {
	*structInfo
	tableName string
}
type fieldInfo struct{ name, dbName string }

type position struct{ X, Y, Z, W int }
type deep struct {
	P    position
	Name string
	Tag  [2]byte
	I    any
}

type Int interface{ Integrate() }
type impl struct{ n int }
type val int

func (i *impl) Integrate() {}
func (v val) Integrate()   {}

type Pair[K comparable, V any] struct {
	Key K
	M   map[K]V
}

type ctxKey struct{}
type Weekday int

const (
	Sun Weekday = iota
	Mon
)

type conn struct {
	id   int
	peer string
}

// keyed is a key that leads to a map.
type keyed struct {
	name string
	m    *map[string]int
}

// W holds the same for expressions that begin with a package.
var W struct {
	any     any
	entry   *Entry
	value   *structValue
	shards  []map[string]int
	ring    [3]map[string]int
	cow     atomic.Pointer[map[string]int]
	stored  atomic.Value
	plain   sync.Map
	count   func() int
	waiting chan map[string]int
	generic Pair[string, int]
	keyed   map[keyed]int
	byAny   map[any]map[string]int
	long    map[string]map[string]int
	conns   map[*conn]map[string]int
	unsafe  unsafe.Pointer
	hdr     http.Header
}

// Keys of every type, which the note keys is about.
var (
	Days   = map[Weekday]string{Sun: "so", Mon: "mo"}
	Pos    = map[position]string{{1, 2, 3, 4}: "one", {5, 6, 7, 8}: "two"}
	Deeps  = map[deep]int{{position{1, 2, 3, 4}, "n", [2]byte{7, 8}, 5}: 1, {Name: "zero"}: 2}
	Arr    = map[[2]string]int{{"a", "b"}: 1, {"a b", "c,d"}: 2}
	Runes  = map[rune]int{'ж': 1, '\n': 2}
	Bytes  = map[byte]string{'a': "A", 0xff: "ff"}
	Floats = map[float64]int{1.5: 1, -2: 2, 1e300: 3}
	Cmplx  = map[complex128]int{1 + 2i: 1}
	Bools  = map[bool]int{true: 1}
	Words  = map[string]int{"foo": 1, "with space": 2, "a\nb\"c\\": 3, "--json": 4, "": 5}
	Key    = "foo"
	Index  = 1
	K1     = &impl{1}
	Ptrs   = map[*impl]string{K1: "k1", {1}: "other"}
	Ifs    = map[Int]string{K1: "k1", &impl{1}: "other", val(9): "nine"}
	Anys   = map[any]string{1: "int", int8(1): "int8", "1": "string", 1.0: "float", ctxKey{}: "ctx", K1: "k1",
		position{1, 2, 3, 4}: "pos", [2]any{1, "x"}: "array", Mon: "mo", true: "true", nil: "nil"}
	Ch    = make(chan int)
	Chans = map[chan int]string{Ch: "ch", make(chan int): "other"}
	Conns = map[*conn]int{{7, "10.0.0.1:5"}: 1, {7, "10.0.0.1:5"}: 2, {7, "10.0.0.1:5"}: 3}
	Times = map[time.Time]string{}
	Addrs = map[netip.Addr]string{}
	Twins = map[string]int{}
)

//go:noinline
func stop(stage string, args ...any) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

var maps = map[string]string{}

// held keeps the maps off the stack, which may move.
var held []any

// leads notes the header that an expression leads to.
func leads[M ~map[K]V, K comparable, V any](m M, exprs ...string) M {
	held = append(held, m)
	for _, expr := range exprs {
		truth.Check(maps[expr] == "", expr)
		maps[expr] = truth.Hex(*(*uintptr)(unsafe.Pointer(&m)))
	}
	return m
}

// nested makes a map of a given size.
func nested(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[string(rune('a'+i))] = i
	}
	return m
}

func fill() {
	e := &Entry{Data: Fields{"info": "x", "inner": Fields{"a": 1}}, Ctx: &Ctx{map[any]any{ctxKey{}: Fields{"b": 2}, 3: 4}}}
	doc := map[string]any{"issuer": map[string]any{"foo": "bar", "n": []any{1, map[string]any{"x": Fields{"c": 3}}}}}
	W.entry, W.any = e, any(e)
	leads(e.Data, "main.W.entry.Data", "W.any.Data", "main.W.any.(*main.Entry).Data", "main.W.any.(*Entry).Data",
		"(*main.W.entry).Data", "(*main.W.any.(*Entry)).Data", "(main.W.entry.Data)", "&main.W.entry.Data",
		"*&main.W.entry.Data", "(*main.Entry)(main.W.any).Data", "*(*main.Fields)(&main.W.entry.Data)")
	leads(e.Data["inner"].(Fields), `main.W.entry.Data["inner"]`, `main.W.any.(*Entry).Data["inner"].(Fields)`,
		`main.W.entry.Data["inner"].(main.Fields)`, "main.W.entry.Data[`inner`].(any)")
	leads(e.Ctx.vals, "main.W.entry.Ctx.vals", "main.W.any.Ctx.vals")
	leads(e.Ctx.vals[ctxKey{}].(Fields), "main.W.entry.Ctx.vals[main.ctxKey{}]", "W.entry.Ctx.vals[ctxKey{}].(Fields)")
	W.generic = Pair[string, int]{"k", nested(2)}
	leads(W.generic.M, "main.W.generic.M")
	W.value = &structValue{&structInfo{nameMap: map[string]*fieldInfo{"f1": {"n", "db"}}}, "t"}
	leads(W.value.nameMap, "main.W.value.nameMap", "main.W.value.structInfo.nameMap", "(*main.W.value.structInfo).nameMap")
	W.shards = []map[string]int{nested(1), nested(2)}
	W.ring = [3]map[string]int{nested(3), nested(4)}
	leads(W.shards[1], "main.W.shards[1]", "main.W.shards[Index]", "main.W.shards[main.Index]", "main.W.shards[0x1]",
		"main.W.shards[Mon]", "main.W.shards[main.W.shards[1][\"b\"]]")
	leads(W.ring[1], "main.W.ring[Index]", "main.W.ring[ 1 ]")
	cow := nested(5)
	W.cow.Store(&cow)
	leads(cow, "main.W.cow.v", "main.W.cow.Load()", "*main.W.cow.Load()")
	W.stored.Store(nested(6))
	leads(W.stored.Load().(map[string]int), "main.W.stored.v", "main.W.stored.v.(map[string]int)", "main.W.stored.Load()",
		"main.W.stored.Load().(map[string]int)")
	inner := nested(7)
	W.plain.Store("k", inner)
	W.plain.Store(int8(1), doc)
	leads(inner, `main.W.plain["k"]`, `main.W.plain.Load("k")`, `main.W.plain.Load("k").(map[string]int)`)
	leads(doc, "main.W.plain.Load(int8(1))", "main.W.plain[int8(1)]")
	leads(doc["issuer"].(map[string]any), `main.W.plain.Load(int8(1))["issuer"]`,
		`main.W.plain.Load(int8(1)).(map[string]any)["issuer"].(map[string]interface {})`)
	leads(doc["issuer"].(map[string]any)["n"].([]any)[1].(map[string]any)["x"].(Fields),
		`main.W.plain.Load(int8(1))["issuer"]["n"][Index]["x"]`)
	captured := nested(8)
	W.count = func() int { return len(captured) }
	leads(captured, "main.W.count.captured")
	W.waiting = make(chan map[string]int, 2)
	W.waiting <- nested(9)
	W.waiting <- nested(10)
	first, second := <-W.waiting, <-W.waiting
	W.waiting <- first
	W.waiting <- second
	leads(first, "main.W.waiting[0]")
	leads(second, "main.W.waiting[1]")
	part := nested(11)
	W.keyed = map[keyed]int{{"k", &part}: 1}
	leads(part, "*main.W.keyed.key({\"k\", "+truth.Hex(uintptr(unsafe.Pointer(&part)))+"}).m")
	W.byAny = map[any]map[string]int{1: nested(1), int8(1): nested(2), "1": nested(3), K1: nested(4), position{X: 1}: nested(5)}
	leads(W.byAny[1], "main.W.byAny[1]", "main.W.byAny[int(1)]", "main.W.byAny[main.Index]")
	leads(W.byAny[int8(1)], "main.W.byAny[int8(1)]")
	leads(W.byAny["1"], `main.W.byAny["1"]`)
	leads(W.byAny[K1], "main.W.byAny[K1]", "main.W.byAny[main.K1]",
		"main.W.byAny[(*main.impl)("+truth.Hex(uintptr(unsafe.Pointer(K1)))+")]")
	leads(W.byAny[position{X: 1}], "main.W.byAny[position{X: 1}]", "main.W.byAny[main.position{1, 0, 0, 0}]")
	long := string(make([]byte, 300))
	W.long = map[string]map[string]int{long: nested(1), "short ]\"": nested(2)}
	leads(W.long["short ]\""], `main.W.long["short ]\""]`)
	W.conns = map[*conn]map[string]int{{7, "p"}: nested(1), {7, "p"}: nested(2)}
	W.unsafe = unsafe.Pointer(&cow)
	leads(cow, "*(*map[string]int)(main.W.unsafe)", "*(*map[string]int)("+truth.Hex(uintptr(W.unsafe))+")",
		"("+truth.Hex(uintptr(unsafe.Pointer(&W.unsafe)))+":*map[string]int)")
	W.hdr = http.Header{"X-A": {"1", "2"}}
	leads(W.hdr, "main.W.hdr", "http.Header(main.W.hdr)", "net/http.Header(main.W.hdr)")

	zone := time.FixedZone("CET", 3600)
	other := *zone
	Times[time.Date(2024, 1, 2, 0, 0, 0, 0, zone)] = "one"
	Times[time.Date(2024, 1, 2, 0, 0, 0, 0, &other)] = "two"
	Times[time.Now()] = "now"
	Addrs[netip.MustParseAddr("10.0.0.1")] = "ten"
	Addrs[netip.MustParseAddr("::ffff:10.0.0.1")] = "mapped"
	Addrs[netip.MustParseAddr("fe80::1%eth0")] = "eth0"
	Addrs[netip.MustParseAddr("fe80::1%eth1")] = "eth1"
	for _, last := range []string{"a", "b"} {
		Twins[string(make([]byte, 400))+last] = len(Twins)
	}
}

// entry is what one key of a map has: the map, the key as it is typed, the value.
type entry [3]any

func keys() []entry {
	pointer := func(p *impl) string { return "(*main.impl)(" + truth.Hex(uintptr(unsafe.Pointer(p))) + ")" }
	return []entry{
		{"main.Days", "1", "mo"}, {"main.Days", "Mon", "mo"}, {"main.Days", "main.Mon", "mo"},
		{"main.Days", "Weekday(1)", "mo"}, {"main.Days", "main.Weekday(1)", "mo"}, {"main.Days", "Index", "mo"},
		{"main.Days", "0b1", "mo"}, {"main.Days", "0o1", "mo"}, {"main.Days", "2", nil}, {"main.Days", "-1", nil},
		{"main.Pos", "main.position{X:1,Y:2,Z:3,W:4}", "one"}, {"main.Pos", "{1,2,3,4}", "one"},
		{"main.Pos", "position{5, 6, 7, 8}", "two"}, {"main.Pos", "{Index, 2, 3, 4}", "one"},
		{"main.Deeps", `deep{P:position{1,2,3,4},Name:"n",Tag:[2]byte{7,8},I:5}`, 1},
		{"main.Deeps", `{{1,2,3,4}, "n", {7,8}, 5}`, 1}, {"main.Deeps", `{Name:"zero"}`, 2},
		{"main.Deeps", `{{1,2,3,4}, "n", [2]uint8{7,8}, int8(5)}`, nil},
		{"main.Arr", `{"a","b"}`, 1}, {"main.Arr", `[2]string{"a b", "c,d"}`, 2}, {"main.Arr", `[...]string{"a","b"}`, 1},
		{"main.Runes", "'ж'", 1}, {"main.Runes", "0x436", 1}, {"main.Runes", `'\n'`, 2}, {"main.Runes", "012", 2},
		{"main.Runes", "1_078", 1}, {"main.Runes", `'\u0436'`, 1}, {"main.Bytes", "'a'", "A"}, {"main.Bytes", "0xff", "ff"},
		{"main.Bytes", "byte(97)", "A"}, {"main.Floats", "1.5", 1}, {"main.Floats", "-2", 2}, {"main.Floats", "1e300", 3},
		{"main.Floats", "0x1.8p0", 1}, {"main.Cmplx", "1+2i", 1}, {"main.Cmplx", "(1+2i)", 1}, {"main.Bools", "true", 1},
		{"main.Bools", "false", nil}, {"main.Words", `"foo"`, 1}, {"main.Words", "Key", 1}, {"main.Words", "main.Key", 1},
		{"main.Words", `"with space"`, 2}, {"main.Words", `"a\nb\"c\\"`, 3}, {"main.Words", `"--json"`, 4},
		{"main.Words", "`foo`", 1}, {"main.Words", `""`, 5}, {"main.Words", `string("foo")`, 1},
		{"main.Ptrs", "K1", "k1"}, {"main.Ptrs", pointer(K1), "k1"}, {"main.Ptrs", "&*main.K1", "k1"}, {"main.Ptrs", "nil", nil},
		{"main.Ifs", "main.K1", "k1"}, {"main.Ifs", pointer(K1), "k1"}, {"main.Ifs", "val(9)", "nine"},
		{"main.Ifs", "main.val(9)", "nine"}, {"main.Ifs", "nil", nil}, {"main.Anys", "1", "int"}, {"main.Anys", "Index", "int"},
		{"main.Anys", "int8(1)", "int8"}, {"main.Anys", `"1"`, "string"}, {"main.Anys", "1.0", "float"},
		{"main.Anys", "main.ctxKey{}", "ctx"}, {"main.Anys", "ctxKey{}", "ctx"}, {"main.Anys", "K1", "k1"},
		{"main.Anys", "position{1,2,3,4}", "pos"}, {"main.Anys", `[2]any{1, "x"}`, "array"}, {"main.Anys", "Weekday(1)", "mo"},
		{"main.Anys", "true", "true"}, {"main.Anys", "nil", "nil"}, {"main.Anys", "Weekday(7)", nil},
		{"main.Chans", "Ch", "ch"}, {"main.Chans", "main.Ch", "ch"},
		{"main.Chans", "(chan int)(" + truth.Hex(**(**uintptr)(unsafe.Pointer(ref(&Ch)))) + ")", "ch"},
	}
}

// ref is the address of a variable's address.
func ref[T any](p *T) **T { return &p }

//go:noinline
func handler(input any, e *Entry) {
	doc := input.(map[string]any)
	var pm = &doc
	var ppm = &pm
	i, key := 1, "issuer"
	shards := W.shards
	k1, ch := K1, Ch
	var iface any = e
	inner := doc[key].(map[string]any)
	m := leads(nested(3))
	fn := func() int { return len(inner) + len(m) }
	leads(doc, "doc", "input", "input.(map[string]interface{})", "input.(map[string]any)", "pm", "*pm", "ppm", "**ppm", "(doc)",
		"&doc", "*&doc", "*(*map[string]interface {})(&doc)")
	leads(inner, "inner", `input["issuer"]`, "doc[key]", "doc[key].(map[string]any)", "fn.inner")
	leads(m, "fn.m")
	leads(e.Data, "e.Data", "(*e).Data", "iface.Data", "iface.(*main.Entry).Data", "iface.(*Entry).Data")
	leads(shards[i], "shards[i]", "shards[1]")
	truth.Note("maps", maps)
	truth.Note("keys", append(keys(), entry{"main.Ptrs", "k1", "k1"}, entry{"main.Ifs", "k1", "k1"}, entry{"main.Anys", "k1", "k1"},
		entry{"main.Chans", "ch", "ch"}, entry{"main.Days", "i", "mo"}, entry{"main.Words", "key", nil}))
	{
		m := leads(nested(2), "m")
		truth.Publish("named", truth.Of("main.Days", Days), truth.Of("main.Pos", Pos), truth.Of("main.Deeps", Deeps),
			truth.Of("main.Arr", Arr), truth.Of("main.Runes", Runes), truth.Of("main.Bytes", Bytes), truth.Of("main.Floats", Floats),
			truth.Of("main.Cmplx", Cmplx), truth.Of("main.Bools", Bools), truth.Of("main.Words", Words),
			truth.Of("main.Ptrs", Ptrs), truth.Of("main.Ifs", Ifs), truth.Of("main.Anys", Anys), truth.Of("main.Chans", Chans),
			truth.Of("main.Conns", Conns), truth.Of("main.Times", Times), truth.Of("main.Addrs", Addrs))
		stop("named", m, &i, &key, shards, k1, ch, iface, &ppm, &Index, &Key)
	}
	truth.Check(fn() == 5, "what fn holds")
}

func main() {
	truth.Stages("named")
	fill()
	handler(map[string]any{"issuer": map[string]any{"foo": "bar", "n": 1}, "k": 1.5}, W.entry)
	truth.Check(W.count() == 8, "what count holds")
	truth.Done()
}
