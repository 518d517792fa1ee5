"""The Go runtime's own structures: goroutines, stacks, the heap, type descriptors."""
