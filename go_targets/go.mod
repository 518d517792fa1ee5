module gomap.test/targets

go 1.21
