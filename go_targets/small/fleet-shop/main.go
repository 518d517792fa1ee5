package main // Dies of a data race on a map, or of a panic that no map has to do with. Arguments: the way and a seed.

import (
	"os"
	"runtime"
	"strconv"
)

type session struct{ visits int }

var (
	Sessions = map[string]*session{}
	prices   = []int{1, 2, 3}
)

func planted(cause, path, kind, function string, line, entries int) {
	os.Stdout.WriteString(`{"cause": "` + cause + `", "map": "` + path + `", "type": "` + kind + `", "function": "` +
		function + `", "line": ` + strconv.Itoa(line) + `, "entries": ` + strconv.Itoa(entries) + "}\n")
}

//go:noinline
func visit(user string) {
	Sessions[user] = &session{1}
}

//go:noinline
func price(n int) int {
	_, _, line, _ := runtime.Caller(0)
	planted("panic", "", "", "main.price", line+2, 0)
	return prices[n]
}

func main() {
	seed, _ := strconv.Atoi(os.Args[2])
	users := make([]string, 50+seed%50)
	for i := range users {
		users[i] = "user" + strconv.Itoa(i)
		visit(users[i])
	}
	if os.Args[1] == "panic" {
		println(price(3 + seed))
	}
	planted("race", "main.Sessions", "map[string]*main.session", "main.visit", 23, len(users))
	runtime.GOMAXPROCS(2)
	for i := 0; i < 2; i++ {
		go func() {
			for {
				for _, user := range users {
					visit(user)
				}
			}
		}()
	}
	select {}
}
