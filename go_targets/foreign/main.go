// Command foreign runs a server that others wrote (NATS, pinned in go.mod) under
// load, counts its maps by itself (package own), and then drops and changes some
// of them to see what that frees.
//
// It wants GODEBUG=memprofilerate=1, which samples every allocation. The notes of
// "changed" tell of the stop at "loaded": "headers", maps that were on the heap;
// "maps", those that the server's own value led to; "goroutines"; and "lines",
// what the lines of the server had allocated for maps; "first", the same when it had one client.
// Of what was done since then, as bytes at least and at most: "freed", what dropping a map has
// freed; "saved", by kind of change, what a map rebuilt, and slices in place of small maps, have
// freed, and what a map made with its size has not allocated.
//
// Stages: loaded, changed.
package main

import (
	"bufio"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"gomap.test/foreign/own"
	"gomap.test/targets/truth"
)

const (
	many = 20000 // subscriptions of one client, most of which end
	kept = 10
	rest = 60 // other clients: each has two goroutines in the server
)

// Server leads to all that the server has.
var Server *server.Server

// At has addresses of maps: what is no pointer keeps nothing alive.
var At struct{ Cache, Nodes, Clients uintptr }

var (
	conns   []net.Conn
	ofFirst []own.Site
)

type client struct {
	net.Conn
	from *bufio.Reader
}

func (c client) say(format string, values ...any) { fmt.Fprintf(c, format+"\r\n", values...) }

// done waits until the server has done all that it was told.
func (c client) done() {
	c.say("PING")
	for {
		line, err := c.from.ReadString('\n')
		truth.Check(err == nil && !strings.HasPrefix(line, "-ERR"), "the server's answer: "+line)
		if strings.HasPrefix(line, "PONG") {
			return
		}
	}
}

func connected(i int) client {
	conn, err := net.Dial("tcp", Server.Addr().String())
	truth.Check(err == nil, "a connection")
	conns = append(conns, conn)
	c := client{conn, bufio.NewReader(conn)}
	c.say(`CONNECT {"verbose":false,"pedantic":false,"name":"client %d"}`, i)
	c.done()
	return c
}

//go:noinline
func load() {
	options := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		NoSystemAccount: true, DisableShortFirstPing: true, PingInterval: time.Hour}
	var err error
	Server, err = server.NewServer(options)
	truth.Check(err == nil, "a server")
	Server.Start()
	truth.Check(Server.ReadyForConnections(time.Minute), "the server accepts connections")
	first := connected(0)
	for i := 0; i < many; i++ {
		first.say("SUB things.%d.state %d", i, i)
	}
	first.done()
	for i := 0; i < many-kept; i++ {
		first.say("UNSUB %d", i)
	}
	first.done()
	ofFirst = own.Grown()
	for i := 1; i <= rest; i++ {
		c := connected(i)
		c.say("SUB events.%d.> 1\r\nSUB workers.* pool 2", i)
		c.say("SUB events.*.%d 3", i)
		for j := 0; j < 10; j++ {
			c.say("PUB events.%d.%d.done 2\r\nok", i, j)
		}
		c.done()
	}
}

// asked are the maps that are dropped or changed, where the server has them.
func asked() (cache, nodes, clients reflect.Value) {
	account := own.At(reflect.ValueOf(Server), "gacc")
	things := own.At(account, "sl", "root", "nodes").MapIndex(reflect.ValueOf("things"))
	return own.At(account, "sl", "cache"), own.At(things, "next", "nodes"), own.At(account, "clients")
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("loaded", "changed")
	debug.SetGCPercent(-1)
	load()
	truth.Publish("loaded")
	maps := own.Maps(Server)
	lines := own.Grown()
	addresses()
	truth.Parked(0)
	headers, goroutines := own.Headers(), runtime.NumGoroutine()
	stop("loaded")
	truth.Note("headers", headers)
	truth.Note("goroutines", goroutines)
	truth.Note("maps", maps)
	truth.Note("lines", lines)
	truth.Note("first", ofFirst)
	measure()
	truth.Publish("changed")
	stop("changed")
	truth.Done()
	runtime.KeepAlive(conns)
}

//go:noinline
func addresses() {
	cache, nodes, clients := asked()
	At.Cache, At.Nodes, At.Clients = cache.Pointer(), nodes.Pointer(), clients.Pointer()
}

// copyOf is a new map with the entries of m, made for so many.
func copyOf(m reflect.Value, size int) reflect.Value {
	made := reflect.MakeMapWithSize(m.Type(), size)
	key, elem := reflect.New(m.Type().Key()).Elem(), reflect.New(m.Type().Elem()).Elem()
	for of := m.MapRange(); of.Next(); {
		key.SetIterKey(of)
		elem.SetIterValue(of)
		made.SetMapIndex(key, elem)
	}
	return made
}

// lists are what takes the place of the maps of subscriptions, which have an entry or two each.
var lists = make([]reflect.Value, 0, 1000)

// slices has a slice in place of each map of subscriptions of the server's tree of subjects.
func slices() {
	levels := []reflect.Value{own.At(reflect.ValueOf(Server), "gacc", "sl", "root").Elem()}
	for len(levels) > 0 {
		level := levels[0]
		levels = levels[1:]
		nodes := []reflect.Value{level.FieldByName("pwc"), level.FieldByName("fwc")}
		for of := level.FieldByName("nodes").MapRange(); of.Next(); {
			nodes = append(nodes, of.Value())
		}
		for _, node := range nodes {
			if node.IsNil() {
				continue
			}
			if next := node.Elem().FieldByName("next"); !next.IsNil() {
				levels = append(levels, next.Elem())
			}
			subscriptions := own.At(node, "psubs")
			list := reflect.MakeSlice(reflect.SliceOf(subscriptions.Type().Key()), 0, subscriptions.Len())
			subscriptions.SetZero()
			lists = append(lists, list)
		}
	}
}

// measure makes the changes.
//
//go:noinline
func measure() {
	cache, nodes, clients := asked()
	presize := own.Allocated(func() { copyOf(cache, 0) }) - own.Allocated(func() { copyOf(cache, cache.Len()) })
	truth.Note("saved", map[string][2]int64{
		"presize":   {presize, presize},
		"rebuild":   own.Freed(func() { nodes.Set(copyOf(nodes, nodes.Len())) }),
		"tiny-maps": own.Freed(slices),
	})
	truth.Note("freed", map[string][2]int64{"cache": own.Freed(cache.SetZero), "clients": own.Freed(clients.SetZero)})
}
