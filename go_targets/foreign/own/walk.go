// Package own lets any program count its own maps, by what the language and the
// runtime tell it: reflect, the memory profile and MemStats. Nothing here knows how
// a map lies in memory.
package own

import (
	"reflect"
	"unsafe"

	"gomap.test/targets/truth"
)

// Map is a map that the walk came to.
type Map struct {
	Address string
	Type    string
	Len     int
}

type place struct {
	at unsafe.Pointer
	t  reflect.Type
}

type walker struct {
	seen map[place]bool
	left []place
	maps []Map
}

// Maps returns every map that the value leads to through pointers, structs, slices,
// arrays, maps and interfaces, in exported fields or not. It does not follow
// functions, channels and unsafe pointers.
func Maps(root any) []Map {
	w := &walker{seen: map[place]bool{}}
	w.value(reflect.ValueOf(root))
	for len(w.left) > 0 {
		last := w.left[len(w.left)-1]
		w.left = w.left[:len(w.left)-1]
		w.value(reflect.NewAt(last.t, last.at).Elem())
	}
	return w.maps
}

// add notes a place of memory that is to be looked at.
func (w *walker) add(at unsafe.Pointer, t reflect.Type) {
	if at == nil || w.seen[place{at, t}] || !leads(t) {
		return
	}
	w.seen[place{at, t}] = true
	w.left = append(w.left, place{at, t})
}

// copied is the value where it has an address, without the mark of an unexported field.
func copied(v reflect.Value) (unsafe.Pointer, reflect.Type) {
	at := reflect.New(v.Type())
	at.Elem().Set(v)
	return at.UnsafePointer(), v.Type()
}

func (w *walker) value(v reflect.Value) {
	switch t := v.Type(); t.Kind() {
	case reflect.Pointer:
		w.add(v.UnsafePointer(), t.Elem())
	case reflect.Interface:
		if !v.IsNil() {
			w.value(v.Elem())
		}
	case reflect.Struct:
		if !v.CanAddr() {
			at, _ := copied(v)
			v = reflect.NewAt(t, at).Elem()
		}
		for i := 0; i < t.NumField(); i++ {
			f := v.Field(i)
			w.value(reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem())
		}
	case reflect.Array, reflect.Slice:
		if leads(t.Elem()) {
			for i := 0; i < v.Len(); i++ {
				w.value(v.Index(i))
			}
		}
	case reflect.Map:
		w.table(v)
	}
}

func (w *walker) table(v reflect.Value) {
	t := v.Type()
	at := v.UnsafePointer()
	if at == nil || w.seen[place{at, t}] {
		return
	}
	w.seen[place{at, t}] = true
	w.maps = append(w.maps, Map{truth.Hex(uintptr(at)), t.String(), v.Len()})
	if !leads(t.Key()) && !leads(t.Elem()) {
		return
	}
	for of := v.MapRange(); of.Next(); {
		w.add(copied(of.Key()))
		w.add(copied(of.Value()))
	}
}

// leads says whether values of the type may lead to a map.
func leads(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	case reflect.Array:
		return t.Len() > 0 && leads(t.Elem())
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			if leads(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// At is the variable that the names of fields lead to from the pointer, which may come from an unexported field.
func At(pointer reflect.Value, names ...string) reflect.Value {
	v := pointer
	for _, name := range names {
		for v.Kind() == reflect.Pointer {
			v = reflect.NewAt(v.Type().Elem(), v.UnsafePointer()).Elem()
		}
		f := v.FieldByName(name)
		v = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
	}
	return v
}
