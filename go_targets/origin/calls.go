package main

import (
	"runtime"

	"gomap.test/targets/truth"
)

// calls has return addresses beside the calls that stand there, the innermost first:
// one for each call that was inlined, too.
type calls struct {
	PCs   []string
	Calls []site
}

//go:noinline
func leaf() []uintptr {
	pcs := make([]uintptr, 64)
	return pcs[:runtime.Callers(1, pcs)]
}

func inner[T any](T) []uintptr { return leaf() }

func middle[T any](x T) []uintptr {
	if found := inner(x); len(found) > 0 {
		return found
	}
	return nil
}

func last() []uintptr { return middle("text") }

//go:noinline
func outer() []uintptr {
	return func() []uintptr { return last() }()
}

func counters() (found calls) {
	pcs := outer()
	for _, pc := range pcs {
		found.PCs = append(found.PCs, truth.Hex(pc))
	}
	found.Calls = stackOf(pcs)
	return found
}
