// waits is stopped where it has no frame of its own: preempted, and then interrupted. Both of its callers hold a
// map.
package main
