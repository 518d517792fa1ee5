"""Types written down as plain facts, to compare what two debuggers make of one program. Runs in gdb too."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Callable

from gomap.gotypes import GoType, Lazy

MOST = 4000


def graph(find: Callable[[str], GoType | None], names: Iterable[str]) -> dict[str, Any]:
    """Everything that can be reached from the types of these names: facts by name."""
    queue = deque([t for t in map(find, names) if t is not None])
    facts: dict[str, Any] = {}
    while queue and len(facts) < MOST:
        t = queue.popleft()
        if t.name in facts:
            continue
        behind = [lazy() for lazy in (t.lazy_elem, t.lazy_key, t.lazy_header) if isinstance(lazy, Lazy)]
        facts[t.name] = {
            "kind": t.kind.value,
            "size": t.size,
            "length": t.length,
            "methods": t.methods,
            "fields": [[f.name, f.offset, f.type.name] for f in t.fields],
            "behind": [inner.name for inner in behind],
        }
        queue.extend(behind)
        queue.extend(f.type for f in t.fields)
    return facts
