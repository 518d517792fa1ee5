"""dlv-hmap as it is started: Ctrl-C ends it in one line while it is loaded, too."""

from __future__ import annotations

import sys


def run() -> int:
    """Runs dlv-hmap. Returns the exit status: 130 after Ctrl-C."""
    try:
        from delve_bridge.main import main

        return main()
    except KeyboardInterrupt:
        print("dlv-hmap: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
