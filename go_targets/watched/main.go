// watched changes its maps when it is told to, on standard input, and says after each change how many entries they
// have. Between two lines it changes nothing, but for what "churn" has begun: what is seen of it then can be compared
// with what it said.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// Session is a value that some of the maps have.
type Session struct {
	User string
	Hits int
}

var (
	Grows    = map[int]int{}
	Still    = map[string]*Session{}
	Many     []map[int]int
	Sessions map[string]map[string]*Session
	Churns   [2]map[int]int
	next     int
)

func say() {
	fmt.Printf("{\"Grows\":%d,\"Still\":%d,\"Many\":%d}\n", len(Grows), len(Still), len(Many))
}

func main() {
	debug.SetGCPercent(-1) // collections are told when to be
	for i := 0; i < 100; i++ {
		Still[fmt.Sprint("user ", i)] = &Session{User: fmt.Sprint(i)}
	}
	Sessions = map[string]map[string]*Session{"eu": {"a": {User: "a"}}, "us": {"b": {User: "b"}, "c": {User: "c"}}}
	say()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		n := 0
		if len(words) > 1 {
			n, _ = strconv.Atoi(words[1])
		}
		switch words[0] {
		case "add": // n entries to Grows
			for i := 0; i < n; i++ {
				Grows[next] = i
				next++
			}
		case "take": // n of them away
			for i := 0; i < n; i++ {
				next--
				delete(Grows, next)
			}
		case "make": // n maps of 16 entries, and one of each in Many
			for i := 0; i < n; i++ {
				m := map[int]int{}
				for k := 0; k < 16; k++ {
					m[k] = k
				}
				Many = append(Many, m)
			}
		case "touch": // an entry more in n of Many
			for i := 0; i < n; i++ {
				m := Many[i%len(Many)]
				m[len(m)] = i
			}
		case "drop": // all of Many
			Many = nil
		case "collect":
			runtime.GC()
			runtime.GC()
		case "churn": // for ever: of 3 and of n entries one is taken away and put back, one after another
			for i, most := range []int{3, n} {
				m := map[int]int{}
				for k := 0; k < most; k++ {
					m[k] = k
				}
				Churns[i] = m
				go func() {
					for k := 0; ; k = (k + 1) % len(m) {
						delete(m, k)
						m[k] = k
					}
				}()
			}
		case "exec": // become another process of the same program
			syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		case "exit":
			os.Exit(n)
		}
		say()
	}
	runtime.KeepAlive(Sessions)
}
