"""Go programs looked at with no debugger: a process that runs on, or a core file."""
