//go:build go1.23

package main

const constants = false
