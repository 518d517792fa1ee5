"""Speed and memory, measured side by side. `python3 -m benchmarks` from the checkout."""
