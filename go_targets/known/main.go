// Command known has maps whose values people know by another text than their
// fields: times, durations, addresses, errors, functions.
//
// Stage "filled": for each value the text that the program itself makes of it,
// by String, Format or Error.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata"

	"gomap.test/targets/truth"
)

type Inner struct {
	At  time.Time
	TTL time.Duration
	Err error
}

type Key struct {
	Addr netip.Addr
	Port uint16
}

// Keep holds the maps under the names that are published.
var Keep struct {
	Times     map[string]time.Time
	Durations map[string]time.Duration
	ByLength  map[time.Duration]string
	ByTime    map[time.Time]int
	ByAddr    map[netip.Addr]int
	ByKey     map[Key]int
	Addrs     map[string]netip.Addr
	Ports     map[string]netip.AddrPort
	Prefixes  map[string]netip.Prefix
	IPs       map[string]net.IP
	Nets      map[string]*net.IPNet
	Macs      map[string]net.HardwareAddr
	Ends      map[string]*net.TCPAddr
	URLs      map[string]*url.URL
	Ints      map[string]*big.Int
	Rats      map[string]*big.Rat
	Errors    map[string]error
	Raw       map[string]json.RawMessage
	Bytes     map[string][]byte
	Funcs     map[string]func() int
	Strings   map[string]sql.NullString
	Null      map[string]sql.NullTime
	Months    map[string]time.Month
	Days      map[string]time.Weekday
	Counts    map[string]*atomic.Int64
	Flags     map[string]*atomic.Bool
	Stored    map[string]*atomic.Value
	Pointers  map[string]*atomic.Pointer[Inner]
	Any       map[string]any
	Inner     map[string]Inner
	Optional  map[string]*time.Time
}

var counts [3]atomic.Int64

func answer() int { return 42 }

type T struct{ n int }

func (t T) Method() int { return t.n }

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

// texts are what the values of a map are shown as, by key.
func texts[K comparable, V any](m map[K]V, name func(K) string, text func(V) string) map[string]string {
	found := map[string]string{}
	for k, v := range m {
		found[name(k)] = text(v)
	}
	return found
}

func same(s string) string { return s }

func times() map[string]time.Time {
	all := map[string]time.Time{"zero": {}, "now": time.Now(), "utc": time.Now().UTC()}
	instants := []int64{-1 << 36, -5e9, -2e9, -1e9, 0, 1, 1e9, 1.19e9, 1.5e9, 1.78e9, 1.79e9, 4e9, 4.01e9, 1e11, 1 << 50}
	zones := []string{"Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe",
		"Africa/Casablanca", "Europe/Dublin", "America/Sao_Paulo", "Asia/Jerusalem", "America/Nuuk", "Pacific/Apia"}
	for i, name := range zones {
		zone, err := time.LoadLocation(name)
		truth.Check(err == nil, name)
		for j, at := range instants {
			all[fmt.Sprintf("%s %d", name, at)] = time.Unix(at+int64(i)*86400*31, int64(j)*1000).In(zone)
		}
	}
	for i := -14; i < 14; i++ {
		zone := time.FixedZone(strings.Repeat("Z", (i+14)%3), i*3600+i%4*900)
		all[fmt.Sprint("fixed ", i)] = time.Unix(1.7e9, int64(i+14)).In(zone)
	}
	// Each side of the changes of a year that only the rule knows.
	zone, _ := time.LoadLocation("America/New_York")
	for day := 60; day < 320; day++ {
		all[fmt.Sprint("day ", day)] = time.Date(2051, 1, day, 6, 59, 59, 0, time.UTC).In(zone)
		all[fmt.Sprint("night ", day)] = time.Date(2051, 1, day, 7, 0, 0, 0, time.UTC).In(zone)
	}
	return all
}

func must[V any](v V, err error) V {
	truth.Check(err == nil, "a value")
	return v
}

func text(e any) string { return fmt.Sprint(e) }

func main() {
	truth.Stages("filled")
	debug.SetGCPercent(-1)
	k := &Keep
	k.Times = times()
	k.Durations = map[string]time.Duration{"min": -1 << 63, "max": 1<<63 - 1, "zero": 0}
	for i, d := 0, time.Duration(1); i < 60; i, d = i+1, d*2+time.Duration(i) {
		k.Durations[fmt.Sprint(i)] = d
		k.Durations[fmt.Sprint(-i-1)] = -d / 1000 * 1000
	}
	k.ByLength = map[time.Duration]string{}
	for _, d := range k.Durations {
		k.ByLength[d] = d.String()
	}
	k.ByTime = map[time.Time]int{}
	for i := 0; i < 20; i++ {
		k.ByTime[time.Unix(int64(i)*1e8, 5).UTC()] = i
	}
	k.Addrs = map[string]netip.Addr{"zero": {}}
	for _, one := range []string{"0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1%eth0",
		"::ffff:1.2.3.4", "1:0:0:2:0:0:0:3", "0:1:0:1:0:1:0:1", "1::2:0:0:3", "2001:db8:0:0:1:0:0:1", "1:2:3:4:5:6:7:0"} {
		k.Addrs[one] = netip.MustParseAddr(one)
	}
	k.ByAddr, k.ByKey = map[netip.Addr]int{}, map[Key]int{}
	k.Ports, k.Prefixes = map[string]netip.AddrPort{"zero": {}}, map[string]netip.Prefix{"zero": {}}
	for name, one := range k.Addrs {
		k.ByAddr[one] = len(name)
		k.ByKey[Key{one, uint16(len(name))}] = len(name)
		k.Ports[name] = netip.AddrPortFrom(one, uint16(len(name)))
		k.Prefixes[name] = netip.PrefixFrom(one, len(name)%33)
	}
	k.IPs = map[string]net.IP{"v4": net.IPv4(1, 2, 3, 4), "short": {9, 8, 7, 6}, "v6": net.ParseIP("2001:db8::5"),
		"mapped": net.ParseIP("::ffff:9.8.7.6"), "odd": {1, 2, 3}}
	k.Nets = map[string]*net.IPNet{}
	for _, one := range []string{"10.0.0.0/8", "2001:db8::/33", "0.0.0.0/0"} {
		_, block, err := net.ParseCIDR(one)
		truth.Check(err == nil, one)
		k.Nets[one] = block
	}
	k.Nets["gap"] = &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.IPv4Mask(255, 0, 255, 0)}
	k.Macs = map[string]net.HardwareAddr{"a": {0, 0x1b, 0x44, 0x11, 0x3a, 0xb7}}
	k.Ends = map[string]*net.TCPAddr{"v4": {IP: net.IPv4(1, 2, 3, 4), Port: 80}, "none": {Port: 8080},
		"v6": {IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth1"}}
	k.URLs = map[string]*url.URL{}
	for _, one := range []string{"https://example.com/a/b?q=1#frag", "mailto:me@example.com", "//host/p", "/only/path",
		"http://user:p%40ss@h:8080/", "http://user@h", "http://[::1]:80/x", "file:///etc/passwd", "http://h/a%2Fb%20c",
		"http://h/ü ö?x=%zz#ü(x)", "?q", "#f", "http://h?", "a/b:c", "http://h/a%5Bb%5D[c]", "https://h/'x'!$&(*)+,;=:@~"} {
		k.URLs[one] = must(url.Parse(one))
	}
	k.URLs["colon"] = &url.URL{Path: "this:that"}
	k.URLs["relative"] = &url.URL{Host: "h", Path: "p"}
	k.URLs["star"] = &url.URL{Path: "*"}
	k.URLs["empty"] = &url.URL{}
	k.Ints = map[string]*big.Int{"zero": {}, "one": big.NewInt(1), "minus": big.NewInt(-1 << 62)}
	for _, bits := range []uint{31, 63, 64, 65, 200, 1000, 20000} {
		k.Ints[fmt.Sprint(bits)] = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(-1), bits), big.NewInt(7))
	}
	k.Rats = map[string]*big.Rat{"zero": {}, "third": big.NewRat(-1, 3), "whole": big.NewRat(8, 2)}
	_, opened := os.Open("/no/such/file")
	_, parsed := strconv.Atoi("x1")
	k.Errors = map[string]error{"new": errors.New("it \"broke\"\n"), "wrapped": fmt.Errorf("outer: %w", fs.ErrNotExist),
		"two": fmt.Errorf("%w and %w", fs.ErrExist, context.Canceled), "joined": errors.Join(fs.ErrExist, fs.ErrClosed),
		"path": opened, "number": parsed, "errno": syscall.EPIPE, "unknown": syscall.Errno(9999),
		"call": os.NewSyscallError("write", syscall.ENOSPC), "deadline": context.DeadlineExceeded,
		"link": &os.LinkError{Op: "link", Old: "a", New: "b", Err: syscall.EXDEV}}
	k.Raw = map[string]json.RawMessage{"object": []byte(`{"a": [1, "ü"]}`), "null": []byte("null")}
	k.Bytes = map[string][]byte{"text": []byte("hello"), "lines": []byte("a\tb\nc\n"), "quote": []byte(`say "ü"`)}
	captured := len(k.Errors)
	k.Funcs = map[string]func() int{"named": answer, "method": T{3}.Method, "closure": func() int { return captured }}
	k.Strings = map[string]sql.NullString{"set": {String: "x\"y", Valid: true}, "null": {String: "stale"}}
	k.Null = map[string]sql.NullTime{"set": {Time: time.Unix(0, 0).UTC(), Valid: true}, "null": {}}
	k.Months, k.Days = map[string]time.Month{}, map[string]time.Weekday{}
	for i := 1; i <= 12; i++ {
		k.Months[fmt.Sprint(i)] = time.Month(i)
		k.Days[fmt.Sprint(i)] = time.Weekday(i % 7)
	}
	counts[1].Store(-5)
	k.Counts = map[string]*atomic.Int64{"a": &counts[1], "zero": &counts[0]}
	k.Flags = map[string]*atomic.Bool{"off": {}, "on": {}}
	k.Flags["on"].Store(true)
	k.Stored = map[string]*atomic.Value{"duration": {}, "nil": {}}
	k.Stored["duration"].Store(3 * time.Second)
	inner := Inner{At: time.Unix(1e9, 0).UTC(), TTL: 90 * time.Second, Err: errors.New("late")}
	k.Inner = map[string]Inner{"a": inner, "b": {}}
	k.Pointers = map[string]*atomic.Pointer[Inner]{"set": {}, "nil": {}}
	k.Pointers["set"].Store(&inner)
	k.Any = map[string]any{"duration": time.Minute, "time": inner.At, "addr": k.Addrs["::1"], "url": k.URLs["#f"],
		"int": k.Ints["one"], "error": errors.New("e"), "raw": k.Raw["null"], "bytes": k.Bytes["text"], "func": k.Funcs["named"]}
	k.Optional = map[string]*time.Time{"set": &inner.At, "nil": nil}

	format := func(t time.Time) string { return t.Format(time.RFC3339Nano) }
	quoted := func(e error) string { return strconv.Quote(e.Error()) }
	shown := map[string]map[string]string{
		"Times":     texts(k.Times, same, format),
		"Durations": texts(k.Durations, same, time.Duration.String),
		"ByLength":  texts(k.ByLength, time.Duration.String, strconv.Quote),
		"ByTime":    texts(k.ByTime, format, strconv.Itoa),
		"ByAddr":    texts(k.ByAddr, netip.Addr.String, strconv.Itoa),
		"ByKey": texts(k.ByKey, func(k Key) string { return fmt.Sprintf("{Addr:%s, Port:%d}", k.Addr, k.Port) },
			strconv.Itoa),
		"Addrs":    texts(k.Addrs, same, netip.Addr.String),
		"Ports":    texts(k.Ports, same, netip.AddrPort.String),
		"Prefixes": texts(k.Prefixes, same, netip.Prefix.String),
		"IPs":      texts(k.IPs, same, net.IP.String),
		"Nets":     texts(k.Nets, same, (*net.IPNet).String),
		"Macs":     texts(k.Macs, same, net.HardwareAddr.String),
		"Ends":     texts(k.Ends, same, (*net.TCPAddr).String),
		"URLs": texts(k.URLs, same, func(u *url.URL) string {
			if *u == (url.URL{}) {
				return `""`
			}
			return u.String()
		}),
		"Ints":  texts(k.Ints, same, (*big.Int).String),
		"Rats":  texts(k.Rats, same, (*big.Rat).String),
		"Raw":   texts(k.Raw, same, func(m json.RawMessage) string { return string(m) }),
		"Bytes": texts(k.Bytes, same, func(b []byte) string { return strconv.Quote(string(b)) }),
		"Funcs": texts(k.Funcs, same, func(f func() int) string {
			return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		}),
		"Strings": texts(k.Strings, same, func(s sql.NullString) string {
			if !s.Valid {
				return "NULL"
			}
			return strconv.Quote(s.String)
		}),
		"Null": texts(k.Null, same, func(s sql.NullTime) string {
			if !s.Valid {
				return "NULL"
			}
			return format(s.Time)
		}),
		"Months": texts(k.Months, same, time.Month.String),
		"Days":   texts(k.Days, same, time.Weekday.String),
		"Errors": texts(k.Errors, same, func(e error) string {
			return fmt.Sprintf("%s(%s)", named(e), quoted(e))
		}),
		"Counts":   texts(k.Counts, same, func(c *atomic.Int64) string { return fmt.Sprintf("&%d", c.Load()) }),
		"Flags":    texts(k.Flags, same, func(b *atomic.Bool) string { return fmt.Sprintf("&%t", b.Load()) }),
		"Stored":   {"duration": "&time.Duration(3s)", "nil": "&nil"},
		"Inner":    texts(k.Inner, same, of),
		"Pointers": {"set": "&&" + of(inner), "nil": "&nil"},
		"Optional": {"set": "&" + format(inner.At), "nil": "nil"},
		"Any": {"duration": "time.Duration(1m0s)", "time": "time.Time(" + format(inner.At) + ")",
			"addr": "net/netip.Addr(::1)", "url": "*net/url.URL(#f)", "int": "*math/big.Int(1)",
			"error": `*errors.errorString("e")`, "raw": rawName() + "(null)", "bytes": `[]byte("hello")`,
			"func": "func() int(main.answer)"},
	}
	more(shown)
	truth.Note("texts", shown)
	truth.Note("users", users())
	truth.Note("csv", asCSV())
	truth.Publish("filled", truth.Of("main.Keep.Counts", k.Counts))
	stop("filled")
	truth.Done()
}

func of(one Inner) string {
	err := "nil"
	if one.Err != nil {
		err = fmt.Sprintf("*errors.errorString(%q)", one.Err.Error())
	}
	return fmt.Sprintf("{At:%s, TTL:%s, Err:%s}", one.At.Format(time.RFC3339Nano), one.TTL, err)
}

// named is the full name of an error's type.
func named(e error) string {
	t, star := reflect.TypeOf(e), ""
	if t.Kind() == reflect.Pointer {
		t, star = t.Elem(), "*"
	}
	return star + t.PkgPath() + "." + t.Name()
}

func rawName() string {
	t := reflect.TypeOf(json.RawMessage{})
	return t.PkgPath() + "." + t.Name()
}
