"""runtime.hmap: the map of Go up to 1.23, and of 1.24 and 1.25 with GOEXPERIMENT=noswissmap."""
