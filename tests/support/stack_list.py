"""Every goroutine's stack as gomap sees it, in plain words; inside gdb and outside."""

from __future__ import annotations

from typing import Any

from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.stacks import Stacks
from gomap.target import Target


def stack_list(target: Target) -> list[dict[str, Any]]:
    found, anomalies = goroutines(target)
    assert not anomalies, anomalies
    told = []
    for stack in Stacks(target, lambda function, name, t: False).walk(found):
        made = target.location(stack.goroutine.created_at) if stack.goroutine.created_at else None
        told.append(
            {
                "id": stack.goroutine.id,
                "status": stack.goroutine.status,
                "problem": stack.problem,
                "frames": [(frame.function, frame.line) for frame in stack.frames],
                "created": (made.function, made.line) if made else None,
            }
        )
    return told
