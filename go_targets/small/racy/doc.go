// Every access to memory is a call of C on the system's stack, in a -race build. Each goroutine's calls hold two
// maps.
package main
