package main // Three variables m, of which one goroutine's says that it has more entries than there are.

import (
	"runtime"
	"unsafe"
)

func keep(id int, ready, wait chan bool) {
	m := map[int]int{id: id}
	if id == 0 {
		**(**int)(unsafe.Pointer(&m)) += 5
	}
	ready <- true
	<-wait
	runtime.KeepAlive(m)
}

func main() {
	ready, wait := make(chan bool), make(chan bool)
	for id := 0; id < 3; id++ {
		go keep(id, ready, wait)
		<-ready
	}
	runtime.Breakpoint()
}
