// Command deletes shows what delete and clear leave behind: tombstones (emptyOne
// cells in classic maps), and memory that never shrinks.
//
// Stages:
//
//	full      ints and words hold 896 entries; little holds 8, and huge 200,000
//	deleted   every third entry of ints and words is left, 3 of little, 3 of huge
//	refilled  100 new keys went into ints and words, some into deleted cells
//	cleared   clear() emptied ints, words and little
//
// The truth comes from looking keys up, so that ranging leaves no flags behind.
package main

import (
	"fmt"
	"runtime"

	"gomap.test/targets/truth"
)

// Keep holds what main's locals hold, for builds in which they are gone.
var Keep struct {
	Ints   map[int]int
	Words  map[string]string
	Little map[int]int
	Huge   map[int]int
}

//go:noinline
func stop(stage string) {
	if truth.Reached(stage) {
		runtime.Breakpoint()
	}
}

func main() {
	truth.Stages("full", "deleted", "refilled", "cleared")
	// 896 is the load limit of a Swiss table of 1024 slots.
	const full, once = 896, 200000
	ints, words, little, huge := map[int]int{}, map[string]string{}, map[int]int{}, map[int]int{}
	var numbers []int
	var names []string
	insert := func(i int) {
		name := fmt.Sprint("word ", i)
		ints[i], words[name] = -i, "text"
		numbers, names = append(numbers, i), append(names, name)
	}
	for i := 0; i < full; i++ {
		insert(i)
	}
	for i := 0; i < 8; i++ {
		little[i] = i
	}
	var all []int
	for i := 0; i < once; i++ {
		huge[i] = i
		all = append(all, i)
	}
	Keep.Ints, Keep.Words, Keep.Little, Keep.Huge = ints, words, little, huge
	publish := func(stage string) {
		truth.Publish(stage,
			truth.Looked("ints", ints, numbers), truth.Looked("main.Keep.Ints", ints, numbers),
			truth.Looked("words", words, names), truth.Looked("main.Keep.Words", words, names),
			truth.Looked("little", little, numbers), truth.Looked("main.Keep.Little", little, numbers),
			truth.Looked("huge", huge, all), truth.Looked("main.Keep.Huge", huge, all))
	}

	publish("full")
	stop("full")

	for i := 0; i < full; i++ {
		if i%3 != 0 {
			delete(ints, i)
			delete(words, names[i])
		}
	}
	for i := 3; i < once; i++ {
		delete(huge, i)
		delete(little, i)
	}
	truth.Check(truth.Look(ints).Slots.Tombstones > 0 && truth.Look(words).Slots.Tombstones > 0, "tombstones")
	publish("deleted")
	stop("deleted")

	for i := 0; i < 100; i++ {
		insert(full + i)
	}
	publish("refilled")
	stop("refilled")

	clear(ints)
	clear(words)
	clear(little)
	publish("cleared")
	stop("cleared")

	truth.Check(len(ints)+len(words)+len(little) == 0 && len(huge) == 3 && huge[2] == 2, "the maps")
	runtime.KeepAlive([]any{ints, words, little, huge})
	truth.Done()
}
