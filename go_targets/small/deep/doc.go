// The map lies on main's stack, which is moved as it grows; a caller's m is not needed any more, and stays as it
// was.
package main
