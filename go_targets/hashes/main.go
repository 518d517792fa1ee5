// Command hashes prints, as one JSON object, hashes that the runtime itself computes in this process, and the
// random keys it computes them with: what a recomputation elsewhere must give too.
//
//	memory  memhash and strhash (through linkname) and maphash, of bytes of many sizes
//	keys    the hash functions of map types, the compiler's and reflect's, for keys of many types: with the
//	        bytes of each key and of what it points to
//
// It takes no argument and does not stop.
package main

import (
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"reflect"
	"runtime"
	"unsafe"

	"gomap.test/targets/truth"
)

//go:linkname memhash runtime.memhash
//go:noescape
func memhash(p unsafe.Pointer, seed, size uintptr) uintptr

//go:linkname strhash runtime.strhash
//go:noescape
func strhash(p unsafe.Pointer, seed uintptr) uintptr

const word = unsafe.Sizeof(uintptr(0))

// Number is an unsigned integer that JSON readers take for text, so that none rounds it.
type Number uintptr

func (n Number) MarshalJSON() ([]byte, error) { return []byte(fmt.Sprintf(`"%#x"`, uintptr(n))), nil }

type Memory struct {
	Function string
	Data     string
	Seed     Number
	Hash     Number
}

// Type is what a debugger knows of a type.
type Type struct {
	Kind    string
	Name    string
	Size    uintptr
	Length  int     `json:",omitempty"`
	Elem    *Type   `json:",omitempty"`
	Fields  []Field `json:",omitempty"`
	Methods bool    `json:",omitempty"`
}

type Field struct {
	Name   string
	Offset uintptr
	Type   Type
}

// Region is memory that a key points to.
type Region struct {
	Address Number
	Data    string
}

// Held is the type that the first word of an interface stands for.
type Held struct {
	First           Number
	Methods         bool
	Type            Type
	Regular, Direct bool
}

type Key struct {
	Type    Type
	Made    string // who made the map type: compiler or reflect
	Data    string
	Regions []Region
	Held    []Held
	Hashes  [][2]Number // seed, hash
	Again   Number      // the first seed's hash, computed again: another one where the key holds a NaN
}

var out struct {
	Go, Arch    string
	PointerSize uintptr
	UseAes      bool
	Moved       bool // the variables are those of internal/runtime/maps
	Constants   bool // memhashFallback multiplies by constants
	Schedule    string
	Hashkey     []Number
	Memory      []Memory
	Keys        []Key
}

func main() {
	out.Go, out.Arch, out.PointerSize = runtime.Version(), runtime.GOARCH, word
	variables()
	memory()
	keys()
	text, err := json.Marshal(out)
	truth.Check(err == nil, fmt.Sprint(err))
	os.Stdout.Write(append(text, '\n'))
}

func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

func bytesAt(p unsafe.Pointer, n uintptr) []byte { return unsafe.Slice((*byte)(p), n) }

// variables reads the runtime's own variables: the linker keeps programs from naming them.
func variables() {
	file, err := elf.Open("/proc/self/exe")
	truth.Check(err == nil, fmt.Sprint(err))
	defer file.Close()
	symbols, err := file.Symbols()
	truth.Check(err == nil, fmt.Sprint(err))
	for _, s := range symbols {
		p := at(uintptr(s.Value))
		switch s.Name {
		case "runtime.useAeshash", "internal/runtime/maps.UseAeshash":
			out.UseAes = *(*bool)(p)
		case "runtime.hashkey", "internal/runtime/maps.hashkey":
			out.Moved = s.Name != "runtime.hashkey"
			for _, k := range (*[4]uintptr)(p) {
				out.Hashkey = append(out.Hashkey, Number(k))
			}
		case "runtime.aeskeysched", "internal/runtime/maps.aeskeysched":
			out.Schedule = hex.EncodeToString(bytesAt(p, uintptr(s.Size)))
		}
	}
	truth.Check(len(out.Hashkey) == 4, "the runtime's hashkey")
	out.Constants = constants
}

// next is a small random generator, the same in every run.
var state uint64 = 88172645463325252

func next() uint64 {
	state ^= state << 13
	state ^= state >> 7
	state ^= state << 17
	return state
}

func memory() {
	buffer := make([]byte, 3*4096)
	for i := range buffer {
		buffer[i] = byte(next())
	}
	// Short memory is loaded in another way near the end of a page.
	edge := 2*4096 - int(uintptr(unsafe.Pointer(&buffer[0]))%4096)
	for size := 0; size <= 300; size += 1 + size/80 {
		for _, data := range [][]byte{buffer[:size], buffer[edge-size : edge]} {
			seed := uintptr(next())
			text := string(data)
			text16 := hex.EncodeToString(data)
			h := memhash(unsafe.Pointer(unsafe.SliceData(data)), seed, uintptr(size))
			out.Memory = append(out.Memory, Memory{"memhash", text16, Number(seed), Number(h)})
			h = strhash(unsafe.Pointer(&text), seed)
			out.Memory = append(out.Memory, Memory{"memhash", text16, Number(seed), Number(h)})
			if 0 < size && size <= 128 && word == 8 { // maphash takes longer ones piece by piece
				s := maphash.MakeSeed()
				h := maphash.Bytes(s, data)
				out.Memory = append(out.Memory, Memory{"memhash", text16, Number(*(*uint64)(unsafe.Pointer(&s))), Number(h)})
			}
		}
	}
	for i := 0; i < 32; i++ {
		k32, k64, seed := uint32(next()), next(), uintptr(next())
		h := truth.Hasher(reflect.TypeOf(map[uint32]bool{}))(unsafe.Pointer(&k32), seed)
		out.Memory = append(out.Memory, Memory{"memhash32", hex.EncodeToString(bytesAt(unsafe.Pointer(&k32), 4)), Number(seed), Number(h)})
		h = truth.Hasher(reflect.TypeOf(map[uint64]bool{}))(unsafe.Pointer(&k64), seed)
		out.Memory = append(out.Memory, Memory{"memhash64", hex.EncodeToString(bytesAt(unsafe.Pointer(&k64), 8)), Number(seed), Number(h)})
	}
}

// key publishes the hashes of one key, by the compiler's function and by the one reflect makes.
func key[K comparable](values ...K) {
	type elem struct{ unlikely [3]byte } // no map type of the program has it: reflect must make one
	kt := reflect.TypeOf((*K)(nil)).Elem()
	for _, v := range values {
		p := new(K)
		*p = v
		add(kt, reflect.TypeOf(map[K]bool(nil)), "compiler", unsafe.Pointer(p))
		add(kt, reflect.MapOf(kt, reflect.TypeOf(elem{})), "reflect", unsafe.Pointer(p))
	}
}

func add(kt, mt reflect.Type, made string, p unsafe.Pointer) {
	k := Key{Type: describe(kt), Made: made, Data: hex.EncodeToString(bytesAt(p, kt.Size())), Regions: []Region{}, Held: []Held{}}
	k.follow(kt, p)
	h := truth.Hasher(mt)
	for _, seed := range []uintptr{0, 1, uintptr(next()), uintptr(next()) & math.MaxUint32} {
		k.Hashes = append(k.Hashes, [2]Number{Number(seed), Number(h(p, seed))})
	}
	k.Again = Number(h(p, 0))
	out.Keys = append(out.Keys, k)
}

func (k *Key) region(p unsafe.Pointer, n uintptr) {
	if n > 0 {
		k.Regions = append(k.Regions, Region{Number(uintptr(p)), hex.EncodeToString(bytesAt(p, n))})
	}
}

// follow notes the memory that the value at p leads to.
func (k *Key) follow(t reflect.Type, p unsafe.Pointer) {
	switch t.Kind() {
	case reflect.String:
		s := *(*string)(p)
		k.region(unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s)))
	case reflect.Array:
		for i := 0; i < t.Len(); i++ {
			k.follow(t.Elem(), unsafe.Add(p, uintptr(i)*t.Elem().Size()))
		}
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			k.follow(t.Field(i).Type, unsafe.Add(p, t.Field(i).Offset))
		}
	case reflect.Interface:
		words := *(*[2]unsafe.Pointer)(p)
		v := reflect.NewAt(t, p).Elem().Elem()
		if !v.IsValid() {
			return
		}
		// *abi.Type of the dynamic type: an any holds it, whatever interface it came from.
		var dynamic any = v.Interface()
		descriptor := (*[2]unsafe.Pointer)(unsafe.Pointer(&dynamic))[0]
		tflag := *(*uint8)(unsafe.Add(descriptor, 2*word+4))
		kind := *(*uint8)(unsafe.Add(descriptor, 2*word+7))
		h := Held{First: Number(uintptr(words[0])), Methods: t.NumMethod() > 0, Type: describe(v.Type()),
			Regular: tflag&8 != 0, Direct: (tflag|kind)&(1<<5) != 0}
		k.Held = append(k.Held, h)
		if !h.Direct {
			k.region(words[1], v.Type().Size())
			k.follow(v.Type(), words[1])
		}
	}
}

func describe(t reflect.Type) Type {
	d := Type{Kind: t.Kind().String(), Name: t.String(), Size: t.Size()}
	switch t.Kind() {
	case reflect.Array:
		e := describe(t.Elem())
		d.Elem, d.Length = &e, t.Len()
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			f := t.Field(i)
			d.Fields = append(d.Fields, Field{f.Name, f.Offset, describe(f.Type)})
		}
	case reflect.Interface:
		d.Methods = t.NumMethod() > 0
	}
	return d
}
