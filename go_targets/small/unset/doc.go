// main.unset waits for main.stop, on the line that declares m, t and pair: its frame holds what main.dirty left
// there. What old pointed to is something else by now.
package main
