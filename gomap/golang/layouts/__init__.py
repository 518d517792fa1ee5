"""How maps lie in memory: a package for each layout, and what they share."""
