// Command process is a service in small: caches, shards, sessions and what
// goroutines keep for themselves, 5,000 nested maps among them.
//
// Stage "all". Every map of its own is in the notes as [address, type, count];
// what all of Registry takes, nested maps and keys included, by the heap's growth;
// how many maps there are of each shape; and which are the standard library's own,
// by address, while Log, which only package log leads to, is not.
//
// GOMAP_N users, with two maps and GOMAP_BYTES of text each, make it as large as
// a benchmark wants it.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unsafe"

	"gomap.test/targets/truth"
)

type Session struct {
	Name string
	Vars map[string]int
	Peer *Session
}

type Shard struct {
	sync.RWMutex
	M map[int]int
}

type Node struct {
	Next *Node
	M    map[string]bool
}

// Log is what package log writes to.
type Log struct {
	io.Writer
	Lines map[string]int
}

type User struct {
	Name  string
	Prefs map[string]string
	Cart  map[int]*Item
	Posts []string
}

type Item struct {
	Title string
	Count int
}

const nested = 5000

var (
	Registry = map[string]map[string]int{}
	Shards   [16]Shard
	Sessions []*Session
	Boxed    = map[string]any{}
	Emptied  = map[int]int{}
	Presized = make(map[int]int, 10000)
	Chain    *Node
	Wide     = map[[200]byte][150]byte{}
	Users    = map[string]*User{}
	Nil      map[string]int
	// PreferencesOfTheFirst has maps of Users once more.
	PreferencesOfTheFirst [16]map[string]string
)

var (
	maps    [][3]any
	guard   sync.Mutex
	started sync.WaitGroup
	never   = make(chan bool)
)

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// sink makes a map escape to the heap, where its address stays.
var sink any

// has notes a map for the truth.
func has[M ~map[K]V, K comparable, V any](m M) M {
	guard.Lock()
	sink = m
	sink = nil
	maps = append(maps, [3]any{truth.Hex(*(*uintptr)(unsafe.Pointer(&m))), reflect.TypeOf(m).String(), len(m)})
	guard.Unlock()
	return m
}

func fillRegistry() {
	for i := 0; i < nested; i++ {
		inner := make(map[string]int)
		for k := 0; k < i%20; k++ {
			inner["key "+strconv.Itoa(k)] = k
		}
		Registry["entry "+strconv.Itoa(i)] = inner
	}
}

// A worker's map is in its own frame alone.
//
//go:noinline
func worker(i int) {
	own := map[int]int{}
	for k := 0; k <= i*40; k++ {
		own[k] = k
	}
	has(own)
	started.Done()
	<-never
	own[0] = 1
}

// tree is a document as encoding/json decodes one.
func tree(depth int) map[string]any {
	m := map[string]any{"depth": depth, "list": []any{1, "two", map[string]any{}}}
	has(m["list"].([]any)[2].(map[string]any))
	if depth > 0 {
		m["below"] = tree(depth - 1)
	}
	return has(m)
}

func users(n, size int) {
	for i := 0; i < n; i++ {
		user := &User{Name: fmt.Sprintf("user %d", i), Prefs: map[string]string{}, Cart: map[int]*Item{}}
		for k := 0; k < i%12; k++ {
			user.Prefs["pref "+strconv.Itoa(k)] = "value " + strconv.Itoa(k)
		}
		for k := 0; k < i%5; k++ {
			user.Cart[k] = &Item{"title " + strconv.Itoa(k), k}
		}
		for left := size; left > 0; left -= 1000 {
			user.Posts = append(user.Posts, strings.Repeat("x", min(left, 1000)))
		}
		Users[user.Name] = user
	}
	for i := range PreferencesOfTheFirst {
		if user := Users[fmt.Sprintf("user %d", i)]; user != nil {
			PreferencesOfTheFirst[i] = user.Prefs
		}
	}
	for _, user := range Users {
		has(user.Prefs)
		has(user.Cart)
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func main() {
	truth.Stages("all")
	before := truth.Heap()
	fillRegistry()
	truth.Note("registry", truth.Heap()-before)
	has(Registry)
	for _, inner := range Registry {
		has(inner)
	}

	for i := range Shards {
		Shards[i].M = map[int]int{}
		for k := 0; k < i*100; k++ {
			Shards[i].M[k] = k
		}
		has(Shards[i].M)
	}
	for i := 0; i < 300; i++ {
		session := &Session{Name: strconv.Itoa(i), Vars: map[string]int{"id": i}}
		Sessions = append(Sessions, session)
		has(session.Vars)
	}
	for i, session := range Sessions {
		session.Peer = Sessions[(i+1)%len(Sessions)]
	}
	Boxed["tree"] = tree(9)
	Boxed["sessions"] = Sessions[:2]
	has(Boxed)
	for i := 0; i < 20000; i++ {
		Emptied[i] = i
	}
	for i := 3; i < 20000; i++ {
		delete(Emptied, i)
	}
	has(Emptied)
	has(Presized)
	Chain = &Node{M: has(map[string]bool{"last": true})}
	for i := 0; i < 24; i++ {
		Chain = &Node{Next: Chain}
	}
	for i := 0; i < 100; i++ {
		Wide[[200]byte{byte(i)}] = [150]byte{byte(i)}
	}
	has(Wide)
	users(number("GOMAP_N", 20), number("GOMAP_BYTES", 3000))
	has(Users)

	started.Add(5)
	for i := 0; i < 5; i++ {
		go worker(i)
	}
	started.Wait()
	truth.Parked(0)
	lines := has(map[string]int{"written": 0})
	log.SetOutput(&Log{os.Stderr, lines})
	truth.Note("log", truth.Hex(*(*uintptr)(unsafe.Pointer(&lines))))
	truth.Note("std", []string{
		truth.Hex(*(*uintptr)(unsafe.Pointer(&unicode.Categories))),
		truth.Hex(*(*uintptr)(unsafe.Pointer(&unicode.Properties))),
	})
	truth.Note("shapes", map[string]int{
		"main.Registry[*]": len(Registry), "main.Sessions[*].Vars": len(Sessions), "main.Shards[*].M": len(Shards),
		"main.Users[*].Prefs": len(Users), "main.Users[*].Cart": len(Users), "own": 5,
	})
	local := has(map[string]int{"main": 1})
	truth.Note("maps", maps)
	maps = nil
	publishAndStop(local)
	truth.Done()
}

//go:noinline
func publishAndStop(local map[string]int) {
	truth.Publish("all", truth.Of("main.Emptied", Emptied), truth.Of("main.Presized", Presized),
		truth.Of("main.Boxed", Boxed), truth.Of("main.Wide", Wide), truth.Of("main.Nil", Nil),
		truth.Of("main.Shards[15].M", Shards[15].M), truth.Of("local", local))
	stop("all")
	runtime.KeepAlive(local)
}
