//go:build goexperiment.swissmap && !go1.25

package main

var tombstoneFlag []damage

func (t *target) tombstonesPossible() {}
