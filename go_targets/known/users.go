package main

import (
	"database/sql"
	"encoding/csv"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gomap.test/targets/truth"
)

type Owner struct{ Name string }

type User struct {
	ID    int
	Name  string
	Score float32
	Admin bool
	TTL   time.Duration
	At    time.Time
	Tags  []string
	Next  *User
	*Owner
	Hits atomic.Int64
	Gone *time.Time
	Nick *string
	Mail sql.NullString
	Raw  []byte
}

type Wide struct {
	room [20]int64
	N    int16
}

// Users are looked into by conditions.
var Users struct {
	ByName  map[string]*User
	Plain   map[int]Pair
	Wide    map[[20]int64]Wide
	Mixed   map[string]any
	Strings map[string]string
}

type Pair struct {
	A int64
	B string
}

// keysOf gives the keys of entries that meet the condition, in the order of less.
func keysOf[K comparable, V any](m map[K]V, wanted func(K, V) bool, less func(a, b K) bool) []string {
	var keys []K
	for k, v := range m {
		if wanted(k, v) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b K) int {
		if less(a, b) {
			return -1
		}
		return 1
	})
	var names []string
	for _, k := range keys {
		names = append(names, fmt.Sprint(k))
	}
	return names
}

func first(n int, names []string) []string { return names[:n] }

// users fills the maps and gives, for each command line, the keys that it has to list.
func users() map[string][]string {
	const count = 3000
	Users.ByName, Users.Plain = map[string]*User{}, map[int]Pair{}
	Users.Wide, Users.Mixed, Users.Strings = map[[20]int64]Wide{}, map[string]any{}, map[string]string{}
	for i := 0; i < count; i++ {
		u := &User{ID: i * 7 % 3001, Name: fmt.Sprint("name ", i), Score: float32(i%50) / 4, Admin: i%97 == 0,
			TTL: time.Duration(i) * time.Second, At: time.Unix(int64(i)*1e6, int64(i)).UTC(),
			Tags: make([]string, i%5), Owner: &Owner{fmt.Sprint("o", i%10)}}
		u.Hits.Store(int64(i - 1500))
		u.Raw = []byte(fmt.Sprint("raw ", i))
		if i%3 == 0 {
			u.Next = u
			u.Gone, u.Nick = &u.At, &u.Name
			u.Mail = sql.NullString{String: fmt.Sprint("mail ", i), Valid: true}
		}
		if i%500 == 1 {
			u.Score = float32(math.NaN())
		}
		Users.ByName[fmt.Sprintf("u%04d", i)] = u
		Users.Plain[i] = Pair{int64(-i), strings.Repeat("é\"", i%4)}
		Users.Wide[[20]int64{19: int64(i)}] = Wide{N: int16(i)}
		Users.Strings[fmt.Sprint(i)] = strings.Repeat("x", (i*7)%3001) + fmt.Sprint(i)
		Users.Mixed[fmt.Sprint(i)] = []any{i, fmt.Sprint("m", i), nil, u}[i%4]
	}
	byKey := func(a, b string) bool { return a < b }
	where := func(wanted func(u *User) bool) []string {
		return keysOf(Users.ByName, func(_ string, u *User) bool { return wanted(u) }, byKey)
	}
	byID := keysOf(Users.ByName, func(string, *User) bool { return true },
		func(a, b string) bool { return Users.ByName[a].ID < Users.ByName[b].ID })
	bySize := keysOf(Users.Strings, func(string, string) bool { return true },
		func(a, b string) bool { return len(Users.Strings[a]) > len(Users.Strings[b]) })
	sized := 0
	for sized < 40 && len(Users.Strings[bySize[sized]]) > len(Users.Strings[bySize[sized+1]]) {
		sized++
	}
	all := regexp.MustCompile("^u1.*9$")
	cut := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	return map[string][]string{
		"ByName --where ID > 2900 --sort key":                              where(func(u *User) bool { return u.ID > 2900 }),
		"ByName --where Owner.Name == \"o3\" --where ID <= 300 --sort key": where(func(u *User) bool { return u.Owner.Name == "o3" && u.ID <= 300 }),
		"--where Owner.Name=o7 --where Admin == true --sort key ByName":    where(func(u *User) bool { return u.Owner.Name == "o7" && u.Admin }),
		"ByName --where len(Tags) >= 4 --where Score < 0.5 --sort key":     where(func(u *User) bool { return len(u.Tags) >= 4 && u.Score < 0.5 }),
		"ByName --where TTL >= 49m30s --sort key":                          where(func(u *User) bool { return u.TTL >= 2970*time.Second }),
		"ByName --where At >= 1990-01-01 --where Next != nil --where ID < 100 --sort key": where(func(u *User) bool {
			return !u.At.Before(cut) && u.Next != nil && u.ID < 100
		}),
		"ByName --match ^u1.*9$ --keys --sort key":        keysOf(Users.ByName, func(k string, _ *User) bool { return all.MatchString(k) }, byKey),
		"ByName --where Name ~ \"^name 12.$\" --sort key": where(func(u *User) bool { return len(u.Name) == 8 && strings.HasPrefix(u.Name, "name 12") }),
		"ByName --sort ID -n 20":                          first(20, byID),
		"ByName --sort ID --reverse -n 1":                 byID[count-1:],
		"ByName --sort key --limit 10":                    first(10, where(func(*User) bool { return true })),
		fmt.Sprint("Strings --sort size -n ", sized):      first(sized, bySize),
		"Strings --match xxx7$ --sort key":                keysOf(Users.Strings, func(_, v string) bool { return strings.HasSuffix(v, "xxx7") }, byKey),
		"Wide --where N >= 2990 --sort N":                 keysOf(Users.Wide, func(_ [20]int64, w Wide) bool { return w.N >= 2990 }, func(a, b [20]int64) bool { return a[19] < b[19] }),
		"Mixed --match ^m12 --sort key":                   keysOf(Users.Mixed, func(_ string, v any) bool { s, ok := v.(string); return ok && strings.HasPrefix(s, "m12") }, byKey),
		"ByName --where Hits >= 1490 --sort key":          where(func(u *User) bool { return u.Hits.Load() >= 1490 }),
		"ByName --sort Hits --reverse -n 3":               {"u2999", "u2998", "u2997"},
		"ByName --where Gone < 1970-03-01 --sort key": where(func(u *User) bool {
			return u.Gone != nil && u.Gone.Before(time.Date(1970, 3, 1, 0, 0, 0, 0, time.UTC))
		}),
		"ByName --where Nick == \"name 300\"":                                            {"u0300"},
		"ByName --where Nick ~ ^name.299. --sort key":                                    where(func(u *User) bool { return u.Nick != nil && strings.HasPrefix(*u.Nick, "name 299") }),
		"ByName --where Next.Name !~ 9 --sort key":                                       where(func(u *User) bool { return u.Next != nil && !strings.Contains(u.Next.Name, "9") }),
		"ByName --where Mail == \"mail 9\"":                                              {"u0009"},
		"ByName --where Raw == \"raw 77\"":                                               {"u0077"},
		"ByName --where ID < 100000 --where Admin == true --where Score != 0 --sort key": where(func(u *User) bool { return u.Admin && u.Score != 0 }),
		"Mixed --where value >= 2990 --sort value":                                       {"2992", "2996"},
		"Plain --where A > -5 --where len(B) != 0 --sort key":                            {"1", "2", "3"},
		"Plain --where A == 7":                                                           nil,
	}
}

// asCSV is what encoding/csv reads of the map.
func asCSV() [][]string {
	rows := [][]string{{"key", "A", "B"}}
	for i := 0; i < 3; i++ {
		one := Users.Plain[i]
		rows = append(rows, []string{strconv.Itoa(i), fmt.Sprint(one.A), one.B})
	}
	var text strings.Builder
	truth.Check(csv.NewWriter(&text).WriteAll(rows) == nil, "the rows")
	return rows
}
