// Command pluginhost opens the plugin that `shared` is built to with
// -buildmode=plugin, and calls it.
package main

import (
	"os"
	"path/filepath"
	"plugin"
)

// Keep is a map of the host's own.
var Keep = map[string]int{"host": 1}

func main() {
	self, err := os.Executable()
	check(err)
	opened, err := plugin.Open(filepath.Join(filepath.Dir(self), "shared.so"))
	check(err)
	run, err := opened.Lookup("Go")
	check(err)
	run.(func())()
	if Keep["host"] != 1 {
		panic("the host's map")
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
