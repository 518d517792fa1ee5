"""A Go program's debug information (DWARF), read with no debugger."""
