"""Every error, as one tree.

GomapError                  one clear line for the user; `code` is its name in JSON
|- UsageError               the command line itself is wrong
|- NoProcess                no process, core file or image to read
|- TargetRunning            the process is running and must be stopped first
|- WrongProgram             the program does not match the process or core file
|- NoSuchVariable           a name that the debugger does not know
|- NoSuchGoroutine          no goroutine has this number
|- NoSuchType               a type that the debug information does not have
|- BadExpression            an expression that can't be followed to its end
|- NotAMap                  the expression names something that is not a map
|- OptimizedOut             the compiler keeps no copy of the variable here
|- NotSet                   the variable is not set yet here, or dead
|- NoLocals                 the command needs local variables, which need stacks
|- NoDebugInfo              the program carries too little debug information
|- UnsupportedLayout        a map header with unknown fields
|- MemoryFault              memory that can't be read, with its address
|- BadImage                 a recorded file that can't be used
`- Interrupted              the user pressed Ctrl-C
"""

from __future__ import annotations


class GomapError(Exception):
    """Base of every error that a user can meet. notes: notes on the variables that were named (Variable.note); they are
    appended to the message unless it contains them."""

    code = "error"
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = own = super().__str__()
        for note in self.notes:
            if note not in text:
                text += f" ({note})" if text == own else f"; {note}"
        return text


class UsageError(GomapError):
    """The command line is wrong: an unknown option, a missing argument, a value that is not of its kind."""

    code = "usage"


class NoProcess(GomapError):
    """There is no process, core file or recorded map to read."""

    code = "no-process"


class TargetRunning(GomapError):
    """The process is running and has to be stopped first."""

    code = "target-running"


class WrongProgram(GomapError):
    """The program is not the one that the process runs or that dumped the core file."""

    code = "wrong-program"


class NoSuchVariable(GomapError):
    """No variable, constant or package has this name."""

    code = "no-such-variable"


class NoSuchGoroutine(GomapError):
    """No goroutine has this number."""

    code = "no-such-goroutine"


class NoSuchType(GomapError):
    """The program has no type of this name."""

    code = "no-such-type"


class BadExpression(GomapError):
    """An expression can't be parsed, or one of its parts can't be followed: a nil pointer, an index out of range."""

    code = "bad-expression"


class NotAMap(GomapError):
    """The expression names a value that is neither a map nor something that leads to one."""

    code = "not-a-map"


class OptimizedOut(GomapError):
    """The compiler keeps no copy of the variable here."""

    code = "optimized-out"


class NotSet(GomapError):
    """The variable is not set yet, or dead, and what it holds is not a valid map."""

    code = "not-set"


class NoLocals(GomapError):
    """The command needs local variables, and the target has no stacks or is stripped."""

    code = "no-locals"


class NoDebugInfo(GomapError):
    """The program carries no debug information, or not what is needed here."""

    code = "no-debug-info"


class UnsupportedLayout(GomapError):
    """A map header has fields that no known layout has."""

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
    """A file of hmap-record is damaged, of another format, or can't be written."""

    code = "bad-image"


class Interrupted(GomapError):
    """The user pressed Ctrl-C."""

    code = "interrupted"
