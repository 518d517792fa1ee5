//go:build go1.24

package main

import (
	"database/sql"
	"fmt"
	"runtime"
	"strconv"
	"time"
	"unique"
	"weak"
)

// New holds maps of types that Go has from 1.24 on.
var New struct {
	Weak    map[string]weak.Pointer[Inner]
	Unique  map[string]unique.Handle[string]
	ByName  map[unique.Handle[string]]int
	Generic map[string]sql.Null[time.Duration]
	Kept    *Inner
}

//go:noinline
func dying() weak.Pointer[Inner] { return weak.Make(&Inner{TTL: 5}) }

func more(shown map[string]map[string]string) {
	New.Kept = &Inner{TTL: 7}
	New.Weak = map[string]weak.Pointer[Inner]{"alive": weak.Make(New.Kept), "dead": dying(), "nil": {}}
	for i := 0; i < 100 && New.Weak["dead"].Value() != nil; i++ {
		runtime.GC()
	}
	New.Unique = map[string]unique.Handle[string]{"a": unique.Make("one"), "b": unique.Make("two \"x\"")}
	New.ByName = map[unique.Handle[string]]int{unique.Make("one"): 1, unique.Make("two"): 2}
	New.Generic = map[string]sql.Null[time.Duration]{"set": {V: time.Second, Valid: true}, "null": {}}
	shown["New.Weak"] = texts(New.Weak, same, func(p weak.Pointer[Inner]) string {
		switch {
		case p == weak.Pointer[Inner]{}:
			return "nil"
		case p.Value() == nil:
			return "nil (the object is dead)"
		}
		return fmt.Sprintf("%p (alive)", p.Value())
	})
	value := func(h unique.Handle[string]) string { return strconv.Quote(h.Value()) }
	shown["New.Unique"] = texts(New.Unique, same, value)
	shown["New.ByName"] = texts(New.ByName, value, strconv.Itoa)
	shown["New.Generic"] = map[string]string{"set": "1s", "null": "NULL"}
}
