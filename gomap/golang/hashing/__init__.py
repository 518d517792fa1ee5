"""The hashes of keys, recomputed."""
