"""A fuzzer: maps of every layout with memory, types and headers scribbled over, asked all commands.

`python -m tests.fuzz` runs it; docs/reliability.md says what it does and what it found.
"""
