package main // Its callback is called by C on a thread of Go's, and on one of C's own.

/*
#include <pthread.h>
extern void back(int);
static void *run(void *x) { back(2); return 0; }
static void call(void) { back(1); }
static void thread(void) { pthread_t t; pthread_create(&t, 0, run, 0); pthread_join(t, 0); }
*/
import "C"
import "runtime"

//export back
func back(n C.int) { stop(map[int]string{int(n): "back"}) }

//go:noinline
func stop(m map[int]string) {
	runtime.Breakpoint()
	m[9] = "more"
}

func main() {
	C.call()
	C.thread()
}
