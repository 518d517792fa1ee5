package truth

import (
	"encoding/json"
	"reflect"
)

var also = map[string]any{}

// Also adds what a program knows beside its maps to what it publishes next, under
// "also" and this name.
func Also(name string, value any) {
	if _, twice := also[name]; twice {
		panic("published twice: " + name)
	}
	also[name] = value
}

// JSON is a key or an elem as Publish writes it: bools, numbers and strings as JSON
// scalars, all else as Go syntax. What is in an interface is Go syntax too.
func JSON(pointer any) json.RawMessage { return jsonOf(reflect.ValueOf(pointer).Elem()) }
