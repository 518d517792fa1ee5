// Package thing is not called as its folder is.
package thing

var Registry = map[string]map[string]int{"v2": {"x": 1}}
