"""Sourced in gdb by tests.

gomap_fuzz SEED COUNT FILE EXPR   asks about the map EXPR as if its memory had been scribbled over, COUNT times;
                                  FILE: where it may record the map. Prints what came of it, as JSON

The program's own memory stays as it is: the scribbles are laid over what is read of it.
"""

from __future__ import annotations

import json
import random
import time
import traceback
from pathlib import Path

import gdb

from gdbext.target import GdbTarget
from gomap import frontend, image
from gomap.commands.declare import Context, Settings
from tests.fuzz.judge import SECONDS, STYLES, unfit
from tests.fuzz.lines import lines
from tests.fuzz.recipe import Recipe, draw
from tests.fuzz.scribbled import Scribbled, Unbounded
from tests.fuzz.sources import opened


class Fuzz(gdb.Command):
    """Asks about a map under scribbles."""

    def __init__(self) -> None:
        super().__init__("gomap_fuzz", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        seed, count, file, expr = argument.split(" ", 3)
        image.record(Context(GdbTarget()), expr, file)
        source = opened("live", Path(file))  # says where the map's parts lie, which is where they lie in the program
        commands, slowest, faults = 0, 0.0, []
        outcomes = {"answer": 0, "error": 0}
        for number in range(int(count)):
            recipe = draw(random.Random(f"{seed} {number}"), source, lines)
            for line in self.some(recipe, number):
                start = time.process_time()
                fault, failed = scribbled(recipe, line)
                commands += 1
                outcomes["error" if failed else "answer"] += 1
                spent = time.process_time() - start
                slowest = max(slowest, spent)
                if fault is None and spent > 2 * SECONDS:
                    fault = f"took {spent:.1f} s"
                if fault is not None:
                    faults.append({"line": line, "fault": fault, "recipe": recipe.json()})
        print(json.dumps({"commands": commands, "slowest": slowest, "faults": faults, **outcomes}))

    def some(self, recipe: Recipe, number: int) -> list[str]:
        """Searching all of the program takes long: that is done now and then."""
        return [line for line in recipe.lines if number % 20 == 0 or ("main." in line or "0x" in line)]


def scribbled(recipe: Recipe, line: str) -> tuple[str | None, bool]:
    """(what is wrong with the answer, whether it is an error)."""
    name, _, rest = line.partition(" ")
    style = STYLES[len(line) % len(STYLES)]

    def under_scribbles() -> GdbTarget:
        target = GdbTarget()
        patches = [(at, bytes.fromhex(data)) for at, data in recipe.patches]
        target.memory = Scribbled(target.memory, patches, recipe.lost)
        return target

    try:
        outcome = frontend.run(name, rest, under_scribbles, Settings(), style, debug=True)
    except Unbounded as error:
        return f"read without bounds: {error}", True
    except Exception:
        return traceback.format_exc(), True
    fault = unfit(outcome, "--json" in rest.split(), style)
    return (f"{fault}\n{outcome.output[-3000:]}" if fault else None), outcome.error is not None


Fuzz()
