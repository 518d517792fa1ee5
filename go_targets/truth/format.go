package truth

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// maxDepth bounds how many pointers are followed below one value.
const maxDepth = 8

// jsonOf formats a key or an elem: bools, numbers and strings as JSON scalars,
// everything else as a JSON string that holds Go syntax.
func jsonOf(v reflect.Value) json.RawMessage {
	switch v.Kind() {
	case reflect.Bool:
		return json.RawMessage(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return json.RawMessage(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return json.RawMessage(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		f, s := v.Float(), floatText(v)
		switch {
		case math.IsNaN(f) || math.IsInf(f, 0):
			s = `"` + s + `"`
		case f == 0 && math.Signbit(f):
			s = "-0.0" // a reader may take -0 for an integer, which has no sign
		}
		return json.RawMessage(s)
	case reflect.String:
		return quoteJSON(v.String())
	}
	return quoteJSON(text(v, nil))
}

// asKey stands for the pointers above a key: none of its own is followed.
var asKey = make([]uintptr, maxDepth)

// keyOf formats a key: pointers show as their addresses.
func keyOf(v reflect.Value) json.RawMessage {
	switch v.Kind() {
	case reflect.Ptr, reflect.Interface, reflect.Array, reflect.Struct:
		return quoteJSON(text(v, asKey))
	}
	return jsonOf(v)
}

// quoteJSON writes s in ASCII. A byte that is not UTF-8 becomes the lone
// surrogate that Python's surrogateescape makes of it.
func quoteJSON(s string) json.RawMessage {
	b := []byte{'"'}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, fmt.Sprintf(`\udc%02x`, s[i])...)
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= 0x20 && r < 0x7f:
			b = append(b, byte(r))
		case r >= 0x10000:
			b = append(b, fmt.Sprintf(`\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)...)
		default:
			b = append(b, fmt.Sprintf(`\u%04x`, r)...)
		}
		i += size
	}
	return append(b, '"')
}

func floatText(v reflect.Value) string {
	return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
}

// text is v in Go syntax. above are the addresses of the pointers followed to
// get here: a pointer back to one of them is shown as its address.
func text(v reflect.Value, above []uintptr) string {
	t := v.Type()
	name := typeName(t)
	inParens := func(p uintptr) string {
		if p == 0 {
			return "(nil)"
		}
		return "(" + hex(p) + ")"
	}
	address := func(p uintptr) string { return "(" + name + ")" + inParens(p) }
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return floatText(v)
	case reflect.Complex64:
		return fmt.Sprint(complex64(v.Complex()))
	case reflect.Complex128:
		return fmt.Sprint(v.Complex())
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Chan, reflect.Func:
		return address(v.Pointer())
	case reflect.UnsafePointer:
		return name + inParens(v.Pointer())
	case reflect.Ptr:
		p := v.Pointer()
		if p == 0 || len(above) == maxDepth {
			return address(p)
		}
		for _, a := range above {
			if a == p {
				return address(p)
			}
		}
		return "&" + text(v.Elem(), append(above[:len(above):len(above)], p))
	case reflect.Interface:
		if v.IsNil() {
			return "nil"
		}
		return dynamic(v.Elem(), above)
	case reflect.Array, reflect.Slice:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return name + "(nil)"
		}
		var parts []string
		for i := 0; i < v.Len(); i++ {
			parts = append(parts, text(v.Index(i), above))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Struct:
		var parts []string
		for i := 0; i < v.NumField(); i++ {
			parts = append(parts, t.Field(i).Name+":"+text(v.Field(i), above))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Map:
		if v.IsNil() {
			return name + "(nil)"
		}
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return less(keys[i], keys[j]) })
		var parts []string
		for _, k := range keys {
			parts = append(parts, text(k, asKey)+":"+text(v.MapIndex(k), above))
		}
		return name + "{" + strings.Join(parts, ", ") + "}"
	}
	panic("no text for " + name)
}

// dynamic is the value in an interface: its type shows unless it is the one an
// untyped constant would take.
func dynamic(v reflect.Value, above []uintptr) string {
	s := text(v, above)
	name := typeName(v.Type())
	switch v.Kind() {
	case reflect.Ptr, reflect.Chan, reflect.Func, reflect.UnsafePointer,
		reflect.Array, reflect.Slice, reflect.Struct, reflect.Map:
		return s
	}
	if name == "float64" && !strings.ContainsAny(s, ".eINn") {
		return name + "(" + s + ")" // 1 would be an int
	}
	switch name {
	case "int", "float64", "string", "bool", "complex128":
		return s
	}
	return name + "(" + s + ")"
}

// less orders ints and strings. Maps with other keys are shown in any order, so
// programs here nest no such map of more than one entry.
func less(a, b reflect.Value) bool {
	switch {
	case a.CanInt():
		return a.Int() < b.Int()
	case a.CanUint():
		return a.Uint() < b.Uint()
	case a.Kind() == reflect.String:
		return a.String() < b.String()
	}
	return false
}

// typeName is t's name as debug information has it: with the full package path.
func typeName(t reflect.Type) string {
	if t == reflect.TypeOf(unsafe.Pointer(nil)) {
		return "unsafe.Pointer"
	}
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name()
	}
	switch t.Kind() {
	case reflect.Ptr:
		return "*" + typeName(t.Elem())
	case reflect.Slice:
		return "[]" + typeName(t.Elem())
	case reflect.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), typeName(t.Elem()))
	case reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	}
	return t.String()
}
