//go:build !go1.22

package truth

// loadFactorNum of Go 1.21's runtime/map.go is (8*13/16)*2 in integers: 6 entries
// a bucket, not the 6.5 meant.
const loadFactorNum = 12
