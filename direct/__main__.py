"""gomap as it is started: Ctrl-C ends it in one line while it is loaded, too."""

from __future__ import annotations

import sys


def run() -> int:
    """`gomap pid PID`, `gomap core [PROG] CORE`, or `gomap FILE` for a recorded map."""
    try:
        if sys.argv[1:2] in (["pid"], ["core"]):
            from direct.main import main

            return main()
        from gomap.image import main as recorded

        return recorded()
    except KeyboardInterrupt:
        print("gomap: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
