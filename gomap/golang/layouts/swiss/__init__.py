"""internal/runtime/maps.Map: the Swiss map of Go 1.24 and later."""
