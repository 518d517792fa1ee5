package main // Variables that the compiler takes apart, and of which it drops what is not needed any more.

import "runtime"

type two struct{ a, bb map[string]int }

type three struct {
	a   map[string]int
	n   int
	ccc map[string]int
}

type padded struct {
	ok bool
	bb map[string]int
	n  int32
	a  map[string]int
}

var sum int

func of(n int) map[string]int {
	m := map[string]int{}
	for i := 0; i < n; i++ {
		m[string(rune('a'+i))] = i
	}
	return m
}

//go:noinline
func stop() { sum++ }

//go:noinline
func given2(t two) int {
	stop()
	return len(t.bb)
}

//go:noinline
func given3(t three) int {
	stop()
	return len(t.ccc)
}

//go:noinline
func givenPadded(t padded) int {
	stop()
	return len(t.bb) + int(t.n)
}

func inlined(t three) int {
	sum += len(t.a)
	stop()
	return len(t.ccc) + t.n
}

func copied(t *three) int {
	u := *t
	stop()
	return len(u.ccc)
}

//go:noinline
func locals(a, bb, ccc map[string]int, n int) int {
	t := two{a, bb}
	stop()
	u := three{a, n, ccc}
	stop()
	p := padded{n > 1, bb, int32(n), a}
	stop()
	return len(t.bb) + len(u.ccc) + len(p.a)
}

//go:noinline
func ranges(list []three, v any) int {
	for _, item := range list {
		stop()
		sum += len(item.ccc)
	}
	t, _ := v.(two)
	stop()
	return len(t.bb)
}

//go:noinline
func parts(list []map[string]int, v any) int {
	last := list[1:]
	stop()
	if t, ok := v.(three); ok {
		stop()
		sum += t.n
	}
	return len(last[0])
}

func main() {
	runtime.LockOSThread()
	a, bb, ccc := of(1), of(2), of(3)
	sum += given2(two{a, bb})
	sum += given3(three{a, 7, ccc})
	sum += givenPadded(padded{true, bb, 8, a})
	sum += inlined(three{a, len(bb), ccc})
	sum += copied(&three{a, len(bb), ccc})
	sum += locals(a, bb, ccc, 5)
	sum += ranges([]three{{a, 1, ccc}, {a, 2, ccc}}, two{a, bb})
	sum += parts([]map[string]int{a, bb}, three{a, 3, ccc})
}
