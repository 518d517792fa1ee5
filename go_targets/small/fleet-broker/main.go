package main // Its goroutines never end and keep maps alive, or one of its maps is overwritten. Arguments: the way, a seed.

import (
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

type message struct{ body [4]int }

var Topics = map[string]int{}

//go:noinline
func subscribe(n int, forever chan bool) {
	pending := make(map[int]message, n)
	for i := 0; i < n; i++ {
		pending[i] = message{}
	}
	go func() {
		<-forever
		println(len(pending))
	}()
}

//go:noinline
func verify(want int) {
	if len(Topics) != want {
		panic("topics lost")
	}
}

func planted(cause, path, kind, function string, line, entries int) {
	os.Stdout.WriteString(`{"cause": "` + cause + `", "map": "` + path + `", "type": "` + kind + `", "function": "` +
		function + `", "line": ` + strconv.Itoa(line) + `, "entries": ` + strconv.Itoa(entries) + "}\n")
}

func main() {
	seed, _ := strconv.Atoi(os.Args[2])
	for i := 0; i < 40; i++ {
		Topics["topic"+strconv.Itoa(i)] = i
	}
	if os.Args[1] == "damaged" {
		planted("damaged", "main.Topics", "map[string]int", "main.verify", 30, 40)
		**(**int)(unsafe.Pointer(&Topics)) += 5 + seed // the first word of a header is the number of entries
		verify(40)
	}
	for i := 0; i < 150+seed%20; i++ {
		subscribe(100, make(chan bool))
	}
	planted("leaked", "", "map[int]main.message", "main.subscribe.func1", 22, 150+seed%20)
	time.Sleep(10 * time.Millisecond) // the goroutines run until they wait
	syscall.Kill(os.Getpid(), syscall.SIGABRT)
	time.Sleep(time.Hour)
}
