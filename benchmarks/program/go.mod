module gomap.test/benchmarks

go 1.19
