"""Maps as profiles for go tool pprof."""
