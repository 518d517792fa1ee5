"""What the garbage collector sees: spans, objects, and every map among them."""
