"""What can go wrong, as one tree.

GomapError                  one clear line for the user; `code` is its name in JSON
|- UsageError               the command line itself is wrong
|- NoProcess                there is no process, core file or image to look at
|- TargetRunning            the process runs; it has to be stopped first
|- WrongProgram             a core file or a process, and a program that do not belong together
|- NoSuchVariable           a name that the debugger does not know
|- NoSuchGoroutine          a number that no goroutine has
|- NoSuchType               a type that the debug information does not have
|- BadExpression            an expression that can't be followed to its end
|- NotAMap                  the expression names something that is not a map
|- OptimizedOut             the compiler kept no place for the variable here
|- NotSet                   the variable is not set yet here, or dead
|- NoLocals                 the command needs local variables, and there are none without stacks
|- NoDebugInfo              the program carries too little debug information
|- UnsupportedLayout        a map header with unknown fields
|- MemoryFault              memory that can't be read, with its address
|- BadImage                 a recorded file that can't be used
`- Interrupted              the user pressed Ctrl-C
"""

from __future__ import annotations


class GomapError(Exception):
    """Base of every error that a user can meet. notes: what is to be said of the variables that were named
    (Variable.note): it ends the message where that does not say it."""

    code = "error"
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = own = super().__str__()
        for note in self.notes:
            if note not in text:
                text += f" ({note})" if text == own else f"; {note}"
        return text


class UsageError(GomapError):
    code = "usage"


class NoProcess(GomapError):
    code = "no-process"


class TargetRunning(GomapError):
    code = "target-running"


class WrongProgram(GomapError):
    code = "wrong-program"


class NoSuchVariable(GomapError):
    code = "no-such-variable"


class NoSuchGoroutine(GomapError):
    code = "no-such-goroutine"


class NoSuchType(GomapError):
    code = "no-such-type"


class BadExpression(GomapError):
    code = "bad-expression"


class NotAMap(GomapError):
    code = "not-a-map"


class OptimizedOut(GomapError):
    code = "optimized-out"


class NotSet(GomapError):
    code = "not-set"


class NoLocals(GomapError):
    code = "no-locals"


class NoDebugInfo(GomapError):
    code = "no-debug-info"


class UnsupportedLayout(GomapError):
    code = "unsupported-layout"


class MemoryFault(GomapError):
    """Memory at `address` (an address in the target) could not be read."""

    code = "memory-fault"

    def __init__(self, address: int, size: int = 0, why: str = "") -> None:
        self.address = address
        self.size = size
        self.why = why
        detail = f": {why}" if why else ""
        super().__init__(f"cannot read {size} bytes of memory at {address:#x}{detail}")


class BadImage(GomapError):
    code = "bad-image"


class Interrupted(GomapError):
    code = "interrupted"
