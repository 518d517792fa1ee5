package main

import "reflect"

//go:noinline
func lookUpBy(slow reflect.Value) {
	slow.MapIndex(reflect.ValueOf("a"))
}

//go:noinline
func storeBy(slow reflect.Value) {
	slow.SetMapIndex(reflect.ValueOf("a"), reflect.ValueOf(1))
}
