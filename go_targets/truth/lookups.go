package truth

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unsafe"
)

// Lookup is what the program's own lookup said of one key.
type Lookup struct {
	Key   string          `json:"key"` // as a Go literal
	Found bool            `json:"found"`
	Value json.RawMessage `json:"value"` // null where it was not found
	Hash  *string         `json:"hash"`  // null for a NaN, and in a nil map
	Path  [][6]any        `json:"path"`  // Step: table, bucket, overflow, old, slot, reason
}

const (
	sampled    = 6  // entries of a map that lookups start from
	maxLookups = 48 // of one map
)

// lookup is m[k]; k is addressable.
type lookup func(k reflect.Value) (reflect.Value, bool)

func lookupIn[M ~map[K]V, K comparable, V any](m M) lookup {
	return func(k reflect.Value) (reflect.Value, bool) {
		v, ok := m[*(*K)(k.Addr().UnsafePointer())]
		return reflect.ValueOf(&v).Elem(), ok
	}
}

// lookups looks up some of the keys that m has, keys next to these, keys that it does not hold any more, and
// keys that no map holds.
func lookups(m Map) []Lookup {
	found := []Lookup{}
	if m.torn {
		return found
	}
	asked := map[string]bool{}
	try := func(k reflect.Value) {
		text := literal(k)
		if asked[text] || len(found) == maxLookups {
			return
		}
		asked[text] = true
		l := Lookup{Key: text, Value: json.RawMessage("null")}
		v, ok := m.look(k)
		if l.Found = ok; ok {
			l.Value = jsonOf(v)
		}
		l.follow(m, k)
		found = append(found, l)
	}
	var held []reflect.Value
	n, step := 0, max(m.length/sampled, 1)
	m.entries(func(k, v reflect.Value) {
		if n%step == 0 && len(held) <= sampled {
			held = append(held, copyOf(k))
		}
		n++
	})
	for _, k := range held {
		try(k)
	}
	if m.gone != nil {
		m.gone(func(k reflect.Value) { try(copyOf(k)) })
	}
	zero := reflect.New(m.typ.Key()).Elem()
	try(zero)
	for _, k := range append([]reflect.Value{zero}, held...) {
		for _, other := range neighbours(k) {
			try(other)
		}
	}
	return found
}

// follow notes the path that m[k] takes, which must come to what the lookup itself came to.
func (l *Lookup) follow(m Map, k reflect.Value) {
	if m.header == 0 {
		return
	}
	hash, steps, ok := pathOf(m.typ, m.header, k.Addr().UnsafePointer())
	if !ok {
		Check(!l.Found, "a NaN that was found")
		return
	}
	text := hex(hash)
	l.Hash, l.Path = &text, [][6]any{}
	for _, step := range steps {
		l.Path = append(l.Path, step.row())
	}
	Check(l.Found == (len(steps) > 0 && steps[len(steps)-1].Reason == "found"), m.expr+": the path of "+l.Key)
}

func copyOf(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

// Odd is a dynamic type that no key has but those that are made up here.
type Odd int32

func (o Odd) String() string { return fmt.Sprint("odd ", int32(o)) }
func (o Odd) Error() string  { return o.String() }

var some = []any{0, 1, int8(1), uint8(1), int16(1), int32(1), int64(1), uint(1), uintptr(1), 1.0, math.NaN(), float32(1), "",
	"1", true, complex(1, 0), Odd(1), struct{}{}, [2]int{1, 2}, [1]string{"1"}, unsafe.Pointer(nil), (*Odd)(nil)}

// neighbours are keys that differ from k in little.
func neighbours(k reflect.Value) (found []reflect.Value) {
	change := func(do func(c reflect.Value)) {
		c := copyOf(k)
		do(c)
		found = append(found, c)
	}
	switch k.Kind() {
	case reflect.Bool:
		change(func(c reflect.Value) { c.SetBool(!k.Bool()) })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		for _, n := range []int64{k.Int() + 1, k.Int() - 1, -k.Int(), k.Int() ^ 1<<(8*k.Type().Size()-1), ^k.Int()} {
			change(func(c reflect.Value) { c.SetInt(n) })
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		for _, n := range []uint64{k.Uint() + 1, k.Uint() - 1, k.Uint() ^ 1<<(8*k.Type().Size()-1), ^k.Uint()} {
			change(func(c reflect.Value) { c.SetUint(n) })
		}
	case reflect.Float32, reflect.Float64:
		for _, f := range []float64{-k.Float(), k.Float() + 1, k.Float() * (1 + 1e-7), math.NaN(), math.Inf(1)} {
			change(func(c reflect.Value) { c.SetFloat(f) })
		}
	case reflect.Complex64, reflect.Complex128:
		z := k.Complex()
		for _, f := range []complex128{-z, complex(imag(z), real(z)), z + 1, complex(math.NaN(), imag(z))} {
			change(func(c reflect.Value) { c.SetComplex(f) })
		}
	case reflect.String:
		s := k.String()
		for _, t := range []string{s + "\x00", s + s, strings.ToUpper(s), "\xff" + s, s[:len(s)/2]} {
			change(func(c reflect.Value) { c.SetString(t) })
		}
	case reflect.Ptr:
		change(func(c reflect.Value) { c.SetZero() })
		change(func(c reflect.Value) { c.Set(reflect.New(k.Type().Elem())) })
	case reflect.UnsafePointer:
		change(func(c reflect.Value) { c.SetPointer(nil) })
		change(func(c reflect.Value) { c.SetPointer(unsafe.Pointer(new(int64))) })
	case reflect.Chan:
		change(func(c reflect.Value) { c.SetZero() })
	case reflect.Array:
		for _, i := range []int{0, k.Len() - 1} {
			if k.Len() > 0 {
				for _, part := range neighbours(copyOf(k.Index(i))) {
					change(func(c reflect.Value) { c.Index(i).Set(part) })
				}
			}
		}
	case reflect.Struct:
		for i := 0; i < k.NumField(); i++ {
			for _, part := range neighbours(copyOf(exported(k.Field(i)))) {
				change(func(c reflect.Value) { exported(c.Field(i)).Set(part) })
			}
		}
	case reflect.Interface:
		change(func(c reflect.Value) { c.SetZero() })
		if !k.IsNil() {
			for _, held := range neighbours(copyOf(k.Elem())) {
				change(func(c reflect.Value) { c.Set(held) })
			}
		}
		for _, one := range some {
			if v := reflect.ValueOf(one); v.Type().Implements(k.Type()) {
				change(func(c reflect.Value) { c.Set(v) })
			}
		}
	}
	return found
}

// exported is the field without the mark that keeps it from being set.
func exported(field reflect.Value) reflect.Value {
	return reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
}

// literal is k as Go source.
func literal(k reflect.Value) string {
	name := typeName(k.Type())
	address := func(name string, p uintptr) string {
		if p == 0 {
			return name + "(nil)"
		}
		return name + "(" + hex(p) + ")"
	}
	switch k.Kind() {
	case reflect.Ptr, reflect.Chan:
		return address("("+name+")", k.Pointer())
	case reflect.UnsafePointer:
		return address(name, k.Pointer())
	case reflect.Array:
		var parts []string
		for i := 0; i < k.Len(); i++ {
			parts = append(parts, literal(k.Index(i)))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Struct:
		var parts []string
		for i := 0; i < k.NumField(); i++ {
			if field := k.Type().Field(i).Name; field != "_" {
				parts = append(parts, field+": "+literal(k.Field(i)))
			}
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Interface:
		if k.IsNil() {
			return "nil"
		}
		held, text := k.Elem(), literal(k.Elem())
		switch held.Kind() {
		case reflect.Ptr, reflect.Chan, reflect.UnsafePointer, reflect.Array, reflect.Struct:
			return text
		}
		switch typeName(held.Type()) {
		case "int", "string", "bool":
			return text
		}
		return typeName(held.Type()) + "(" + text + ")"
	case reflect.Float32, reflect.Float64:
		if f := k.Float(); f == 0 && math.Signbit(f) {
			return "-0.0"
		}
	case reflect.String:
		return strconv.Quote(k.String())
	}
	return text(k, nil)
}
