"""Go programs that have neither debug information nor a symbol table, as `-ldflags="-s -w"` and `strip` leave them."""
