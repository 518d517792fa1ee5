package main // The first worker is on its second line until the second one has been through all of worker.

func worker(first bool, turn chan bool) {
	m := map[bool]int{}
	meet(first, turn)
	m[first] = 1
}

func meet(first bool, turn chan bool) {
	if first {
		turn <- true
		<-turn
	}
}

func main() {
	turn := make(chan bool)
	go worker(true, turn)
	<-turn
	worker(false, turn)
	turn <- true
}
