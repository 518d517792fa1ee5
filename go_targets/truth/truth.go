// Package truth lets a program publish what it knows about its own maps, so
// that a debugger's answers can be compared with it.
//
// Publish writes one JSON line a stage: {"stage":...,"maps":{EXPR:{...}}}. What
// len, range and lookups say comes from the language; everything about structure
// comes from a walk of the map's own memory, driven by the map's type descriptor
// (classic.go, swiss.go). Publish panics when the two disagree.
//
// What a program does is chosen by its environment:
//
//	GOMAP_TRUTH  file to append the lines to (standard output unless set)
//	GOMAP_STAGE  the one stage to stop at with a breakpoint (every stage unless
//	             set; "none" runs through)
//	GOMAP_ABORT  the stage to dump core at, instead of any breakpoint
//	GOMAP_WAIT   the stage to wait at, instead of any breakpoint
//
// and its only argument, -stages, prints the names of its stages.
//
// Ranging over a classic map sets its iterator flag. So Publish ranges over all
// maps first and walks all headers last; nothing touches a map between that walk
// and the stop. Looked publishes a map without ranging over it, by looking up
// the keys that the program knows it holds.
package truth

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"unsafe"
)

// Entries are published for maps of at most this many.
const maxEntries = 2000

// Map is one map to publish, under the expression that names it in a debugger.
type Map struct {
	expr    string
	unnamed bool
	torn    bool
	hold    any // keeps the map alive; nil for a map on a stack
	header  uintptr
	typ     reflect.Type
	length  int
	source  string                              // "range" or "lookup"
	entries func(each func(k, v reflect.Value)) // by range or lookup
	look    lookup
	gone    func(each func(k reflect.Value)) // keys it may have held and does not
	heap    *uint64
}

// Of describes m, whose entries Publish finds by ranging over it.
func Of[M ~map[K]V, K comparable, V any](expr string, m M) Map {
	t := describeVar(expr, &m)
	t.source, t.look = "range", lookupIn(m)
	t.entries = func(each func(k, v reflect.Value)) {
		for k, v := range m {
			each(reflect.ValueOf(&k).Elem(), reflect.ValueOf(&v).Elem())
		}
	}
	return t
}

// Looked describes m, whose entries Publish finds by looking up keys: all the
// keys m may hold, each once. m is not ranged over, so its flags stay as they are.
func Looked[M ~map[K]V, K comparable, V any](expr string, m M, keys []K) Map {
	t := describeVar(expr, &m)
	t.source, t.look = "lookup", lookupIn(m)
	t.gone = func(each func(k reflect.Value)) {
		step := max(len(keys)/1000, 1)
		for i := 0; i < len(keys); i += step {
			if _, ok := m[keys[i]]; !ok {
				each(reflect.ValueOf(&keys[i]).Elem())
			}
		}
	}
	t.entries = func(each func(k, v reflect.Value)) {
		for _, k := range keys {
			if v, ok := m[k]; ok {
				each(reflect.ValueOf(&k).Elem(), reflect.ValueOf(&v).Elem())
			}
		}
	}
	return t
}

// At describes a map by its header's address and type, for a map that must not
// escape from its stack. The caller has ranged over it: entries are the result.
func At(expr string, header uintptr, typ reflect.Type, length int, entries [][2]any) Map {
	return Map{expr: expr, header: header, typ: typ, length: length, source: "range",
		look: func(k reflect.Value) (reflect.Value, bool) {
			v := reflect.NewAt(typ, unsafe.Pointer(&header)).Elem().MapIndex(k)
			return v, v.IsValid()
		},
		entries: func(each func(k, v reflect.Value)) {
			for _, e := range entries {
				each(reflect.ValueOf(e[0]), reflect.ValueOf(e[1]))
			}
		}}
}

// Header is the address of the map's header.
func (t Map) Header() uintptr { return t.header }

// Unnamed marks a map that no debugger expression names (one that waits in a
// channel's buffer, say). It is published under "unnamed" instead of "maps".
func (t Map) Unnamed() Map {
	t.unnamed = true
	return t
}

// Torn marks a map whose own count is known to be wrong, so Publish does not
// require len, range and the walk to agree.
func (t Map) Torn() Map {
	t.torn = true
	return t
}

// Heap adds how many bytes of heap the program measured the map to hold.
func (t Map) Heap(bytes uint64) Map {
	t.heap = &bytes
	return t
}

func describeVar[M ~map[K]V, K comparable, V any](expr string, m *M) Map {
	return Map{expr: expr, hold: *m, header: *(*uintptr)(unsafe.Pointer(m)),
		typ: reflect.TypeOf(*m), length: len(*m)}
}

type published struct {
	Stage   string               `json:"stage"`
	Go      string               `json:"go"`
	Maps    map[string]*mapTruth `json:"maps"`
	Unnamed map[string]*mapTruth `json:"unnamed"`
	Notes   map[string]any       `json:"notes"`
}

var notes map[string]any

// Note adds a fact about something else than maps to what the next Publish writes.
func Note(name string, fact any) {
	if notes == nil {
		notes = map[string]any{}
	}
	notes[name] = fact
}

type mapTruth struct {
	Type    string               `json:"type"`
	Address string               `json:"address"`
	Nil     bool                 `json:"nil"`
	Len     int                  `json:"len"`
	Range   int                  `json:"range"`
	Torn    bool                 `json:"torn"`
	Source  string               `json:"source"` // how "range" was counted: "range" or "lookup"
	Entries [][2]json.RawMessage `json:"entries"`
	Lookups []Lookup             `json:"lookups"`
	Heap    *uint64              `json:"heap"` // measured, null where it was not
	Facts
}

// Publish appends the truth about maps at this stage to the file that
// GOMAP_TRUTH names, or writes it to standard output.
func Publish(stage string, maps ...Map) {
	line := published{Stage: stage, Go: runtime.Version(),
		Maps: map[string]*mapTruth{}, Unnamed: map[string]*mapTruth{}}
	markPublished(stage)
	for _, m := range maps {
		to := line.Maps
		if m.unnamed {
			to = line.Unnamed
		}
		if to[m.expr] != nil {
			panic("published twice: " + m.expr)
		}
		to[m.expr] = entriesOf(m)
	}
	// From here on no map is ranged over: nested ones neither.
	for _, m := range maps {
		t := line.Maps[m.expr]
		if m.unnamed {
			t = line.Unnamed[m.expr]
		}
		t.Facts = walk(m.typ, m.header, nil, nil)
		if !m.torn && (t.Live != t.Len || t.Range != t.Len || t.Count != t.Len) {
			panic(fmt.Sprintf("%s at %s: %d live, count %d, ranged over %d, len %d", m.expr, stage, t.Live, t.Count, t.Range, t.Len))
		}
	}
	line.Notes, notes = notes, nil
	write(line)
	runtime.KeepAlive(maps)
}

// entriesOf fills in what the language says about m, and checks that the cells
// the walk finds hold the same keys and elems.
func entriesOf(m Map) *mapTruth {
	t := &mapTruth{Type: typeName(m.typ), Address: hex(m.header), Nil: m.header == 0, Len: m.length, Torn: m.torn, Source: m.source, Lookups: lookups(m), Heap: m.heap}
	if m.length > maxEntries {
		m.entries(func(k, v reflect.Value) { t.Range++ })
		return t
	}
	t.Entries = [][2]json.RawMessage{}
	unseen := map[string]int{}
	m.entries(func(k, v reflect.Value) {
		e := [2]json.RawMessage{keyOf(k), jsonOf(v)}
		t.Entries = append(t.Entries, e)
		t.Range++
		unseen[fmt.Sprintf("%s: %s", e[0], e[1])]++
	})
	walk(m.typ, m.header, func(key, elem unsafe.Pointer) {
		k := reflect.NewAt(m.typ.Key(), key).Elem()
		v := reflect.NewAt(m.typ.Elem(), elem).Elem()
		e := fmt.Sprintf("%s: %s", keyOf(k), jsonOf(v))
		if unseen[e] == 0 {
			panic(m.expr + ": the walk found an entry that range did not: " + e)
		}
		unseen[e]--
	}, nil)
	return t
}

func write(line published) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	out := os.Stdout
	if name := os.Getenv("GOMAP_TRUTH"); name != "" {
		out, err = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			panic(err)
		}
		defer out.Close()
	}
	if _, err := out.Write(append(text, '\n')); err != nil {
		panic(err)
	}
}

// Look walks m's memory and returns what it finds.
func Look[M ~map[K]V, K comparable, V any](m M) Facts {
	f := walk(reflect.TypeOf(m), *(*uintptr)(unsafe.Pointer(&m)), nil, nil)
	runtime.KeepAlive(m)
	return f
}

// Checksum sums (FNV-1a) all the memory that m's header, buckets, groups, tables
// and directory take, and that of its keys and elems, indirect ones too.
func Checksum[M ~map[K]V, K comparable, V any](m M) uint64 {
	sum := uint64(14695981039346656037)
	add := func(address, size uintptr) {
		for _, b := range unsafe.Slice(at[byte](address), size) {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
	}
	var k K
	var v V
	walk(reflect.TypeOf(m), *(*uintptr)(unsafe.Pointer(&m)), func(key, elem unsafe.Pointer) {
		add(uintptr(key), unsafe.Sizeof(k))
		add(uintptr(elem), unsafe.Sizeof(v))
	}, add)
	runtime.KeepAlive(m)
	return sum
}

func hex(address uintptr) string { return fmt.Sprintf("0x%x", address) }

// hexOrNil is the address, or nil (JSON null) for 0.
func hexOrNil(address uintptr) *string {
	if address == 0 {
		return nil
	}
	s := hex(address)
	return &s
}

// at views the memory at address as a T.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }
