//go:build go1.22

package truth

// loadFactorNum of runtime/map.go from Go 1.22 on: 6.5 entries a bucket.
const loadFactorNum = 13
