"""Sourced in gdb by tests.

gomap_fuzz SEED COUNT FILE EXPR          asks about the map EXPR as if its memory had been scribbled over, COUNT times;
                                         FILE: where it may record the map. Prints what came of it, as JSON
gomap_fuzz_search SEED COUNT FILE EXPR   the same of the commands that search the program: everything that they read
                                         of it is scribbled over, the runtime's own structs too

The program's own memory stays as it is: the scribbles are laid over what is read of it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import gdb

from gdbext.target import GdbTarget
from gomap import frontend, image
from gomap.commands.registry import COMMANDS
from gomap.declare import Context, Settings
from gomap.memory import Memory, RecordingMemory
from tests.fuzz.judge import SECONDS, style_of, unfit
from tests.fuzz.lines import lines
from tests.fuzz.recipe import draw
from tests.fuzz.scribbled import Scribbled, Unbounded
from tests.fuzz.sources import Source, opened

#: Commands that let the program run, which then is another one.
RESUMING = {command.name for command in COMMANDS if command.resumes}
SEARCHES = (
    "hmap-top",
    "hmap-top --values --json",
    "hmap-top -n 0 --group owner --json",
    "hmap-advise -n 0 --min 0",
    "hmap-race",
    "hmap-race --json",
    "hmap-alias --all --scope all",
    "hmap-alias --all --scope goroutine --slices --json",
    "hmap-check --all",
)
#: A command that takes longer than this ends gdb with a traceback.
HANGS, STDERR = 30, 2


def is_short(line: str) -> bool:
    """Whether it lets nothing run, and does not list as many entries as a header claims."""
    every = " --limit 0" in line or (" --csv" in line and " --limit" not in line)
    return line.split()[0] not in RESUMING and not (line.startswith("hmap-entries") and every)


class Fuzz(gdb.Command):
    """Asks about a map under scribbles."""

    def __init__(self) -> None:
        super().__init__("gomap_fuzz", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        seed, count, file, expr = argument.split(" ", 3)
        ask_all(seed, int(count), recorded(file, expr), self.some, 2 * SECONDS)

    def some(self, chance: random.Random, source: Source) -> list[str]:
        """What asks about one map; the rest is gomap_fuzz_search's. --full hashes all of a string whose length is
        corrupt, however long that takes."""
        drawn = [line.replace(" --full", "") for line in lines(chance, source) if is_short(line)]
        about = [line for line in drawn if "main." in line or "0x" in line]
        return [line for line in about if not line.startswith("hmap-whatis")]


class FuzzSearch(gdb.Command):
    """Searches the program under scribbles."""

    def __init__(self) -> None:
        super().__init__("gomap_fuzz_search", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        seed, count, file, expr = argument.split(" ", 3)
        one = recorded(file, expr)
        assert one.map is not None
        read = RecordingMemory(GdbTarget().memory)
        longest = 0.0
        for line in (*SEARCHES, f"hmap-whatis {one.map.address:#x}"):
            start = time.process_time()
            fault, _, _ = asked(line, read)
            assert fault is None, fault
            longest = max(longest, time.process_time() - start)
        for start, data in one.regions:
            read.read(start, len(data))
        regions, places, held = read.regions(), [], 0
        for start, data in regions:
            places.append([start, len(data), held])
            held += len(data)
        whole = Source("search", {**one.manifest, "regions": places}, b"".join(data for _, data in regions))
        # What is scribbled over may keep more maps than there were.
        ask_all(seed, int(count), whole, self.one, 2 * SECONDS + 4 * longest)

    def one(self, chance: random.Random, source: Source) -> list[str]:
        start, data = chance.choice(source.regions)
        return [chance.choice(SEARCHES), f"hmap-whatis {start + chance.randrange(len(data)):#x}"]


def recorded(file: str, expr: str) -> Source:
    """The map as a source: it says where the map's parts lie, which is where they lie in the program."""
    image.record(Context(GdbTarget()), expr, file, overwrite=True)
    return opened("live", Path(file))


def ask_all(
    seed: str, count: int, source: Source, choose: Callable[[random.Random, Source], list[str]], most: float
) -> None:
    """most: seconds of processor time that one command may take."""
    commands, slowest, faults = 0, 0.0, []
    outcomes = {"answer": 0, "error": 0}
    for number in range(count):
        recipe = draw(random.Random(f"{seed} {number}"), source, choose)
        for line in recipe.lines:
            os.write(STDERR, f"{line} {recipe.patches} {recipe.lost}\n".encode())  # the last one hangs, if one does
            start = time.process_time()
            patches = [(at, bytes.fromhex(data)) for at, data in recipe.patches]
            fault, failed, output = asked(line, GdbTarget().memory, patches, recipe.lost)
            commands += 1
            outcomes["error" if failed else "answer"] += 1
            spent = time.process_time() - start
            slowest = max(slowest, spent)
            if fault is None and spent > most:
                fault = f"took {spent:.1f} s"
            if fault is not None:
                recipe.lines = [line]
                faults.append({"line": line, "fault": f"{fault}\n{output[-3000:]}", "recipe": recipe.json()})
    print(json.dumps({"commands": commands, "slowest": slowest, "faults": faults, **outcomes}))


def asked(
    line: str, memory: Memory, patches: list[tuple[int, bytes]] | None = None, lost: list[tuple[int, int]] | None = None
) -> tuple[str | None, bool, str]:
    """(what is wrong with the answer, whether it is an error, the answer)."""
    name, _, rest = line.partition(" ")
    style = style_of(line)

    def under_scribbles() -> GdbTarget:
        target = GdbTarget()
        target.memory = Scribbled(memory, patches or [], lost or [])
        return target

    faulthandler.dump_traceback_later(HANGS, exit=True, file=STDERR)
    try:
        outcome = frontend.run(name, rest, under_scribbles, Settings(), style, debug=True)
    except Unbounded as error:
        return f"read without bounds: {error}", True, "".join(traceback.format_tb(error.__traceback__)[-6:])
    except Exception:
        return traceback.format_exc(), True, ""
    finally:
        faulthandler.cancel_dump_traceback_later()
    return unfit(outcome, "--json" in rest.split(), style), outcome.error is not None, outcome.output


Fuzz()
FuzzSearch()
