package main // Workers that all stop at one breakpoint, and a main that goes on for as long as it is wanted.

import "time"

func worker(m map[int]int, wait chan bool) {
	m[0] = 1
	m[1] = 2
	m[2] = 3
	wait <- true
}

func main() {
	wait := make(chan bool)
	for i := 0; i < 8; i++ {
		go worker(map[int]int{}, wait)
	}
	for i := 0; i < 8; i++ {
		<-wait
	}
	seen := map[int]int{}
	for i := 0; ; i++ {
		turn(seen, i)
		time.Sleep(100 * time.Microsecond)
	}
}

func turn(seen map[int]int, i int) { seen[i%10]++ }
