package main // A program that writes to a map for as long as it is let, and counts what it did.

import (
	"fmt"
	"os"
	"time"
)

// User is behind a slice of pointers: user i has i+1 tags.
type User struct{ Tags map[string]int }

var (
	Users []*User
	Still = map[string]int{}
	Busy  = map[int]int{}
	Done  int
)

func main() {
	for i := 0; i < 1000; i++ {
		Still[fmt.Sprint("key ", i)] = i
	}
	for i := 0; i < 200; i++ {
		user := &User{map[string]int{}}
		for j := 0; j <= i; j++ {
			user.Tags[fmt.Sprint("tag ", j)] = i
		}
		Users = append(Users, user)
	}
	fmt.Println("ready")
	for {
		Busy[Done%5000] = Done
		Done++
		if Done%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
		if os.Getppid() == 1 {
			return
		}
	}
}
