package main

// #include <unistd.h>
// static void rest(void) { for (;;) usleep(1000); }
import "C"

func rest(name string) {
	m := map[string]int{name: 1}
	println("running")
	C.rest()
	println(len(m))
}

func main() {
	go rest("one")
	rest("two")
}
