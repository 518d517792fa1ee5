package main

import "testing"

func TestFill(t *testing.T) {
	main()
}
