// Goroutines that are preempted anywhere in a short function with a frame, in front of its last instructions too,
// and one that is preempted while it recovers from a fault in a function's first instruction. None runs while main
// does.
package main
