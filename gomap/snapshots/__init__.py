"""All maps of a process at one moment, in columns: taken, kept in a file, and compared."""
