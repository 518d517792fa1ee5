"""What a program does with its maps while a debugger lets it run."""
