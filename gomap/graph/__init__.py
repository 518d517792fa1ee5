"""What leads to what, by type."""
