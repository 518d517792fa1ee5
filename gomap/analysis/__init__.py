"""Pure functions over map views and targets."""
