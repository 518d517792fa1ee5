"""One file a command: arguments in, Report out. Commands never print and never catch. registry.py lists them."""
