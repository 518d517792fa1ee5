"""How many values are counted: one interface, with numpy and in plain Python."""
