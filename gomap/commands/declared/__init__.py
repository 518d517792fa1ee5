"""Each command's declaration: its arguments, help and examples. gdb loads all of them when it starts, so they import
only gomap.declare. What answers a command is the file of the same name one folder up, loaded when the command runs."""
