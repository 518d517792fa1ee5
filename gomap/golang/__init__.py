"""What the Go runtime lays down in memory, one structure a file."""
