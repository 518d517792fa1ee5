package truth

import (
	"encoding/json"
	"reflect"
)

// JSON is a key or an elem as Publish writes it, given a pointer to it: bools, numbers
// and strings as JSON scalars, all else as Go syntax. What is in an interface is too.
func JSON(pointer any) json.RawMessage { return jsonOf(reflect.ValueOf(pointer).Elem()) }

// KeyJSON is the same for a key.
func KeyJSON(pointer any) json.RawMessage { return keyOf(reflect.ValueOf(pointer).Elem()) }
