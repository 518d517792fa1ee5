"""python -m tests.fuzz [--maps N] [--seed S] [--source WORD] [--save FILE]

Scribbles over N maps and gives every command about each. Prints what came of it; status 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import random
import re
import resource
import sys
import time
from pathlib import Path

from gomap.errors import BadImage
from tests.fuzz.judge import Verdict, judge
from tests.fuzz.lines import lines
from tests.fuzz.recipe import Recipe, cook, draw
from tests.fuzz.sources import sources


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--maps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", default="", help="only sources whose name contains this")
    parser.add_argument("--save", type=Path, help="where recipes of what is wrong are added, one a line")
    parser.add_argument("--replay", type=Path, help="do the recipes of this file instead")
    options = parser.parse_args()
    chosen = [source for source in sources() if options.source in source.name]
    run = Run(options.save)
    if options.replay:
        for text in options.replay.read_text().splitlines():
            run.map(Recipe.read(text))
    else:
        for number in range(options.maps):
            chance = random.Random(f"{options.seed} {number}")
            run.map(draw(chance, chance.choice(chosen), lines), f"{options.seed} {number}")
            if number % 5000 == 4999:
                run.progress(number + 1)
    run.summary()
    return 1 if run.faults else 0


class Run:
    """What came of all maps so far."""

    def __init__(self, save: Path | None) -> None:
        self.save = save
        self.maps = self.refused = self.commands = 0
        self.outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
        self.faults: collections.Counter[str] = collections.Counter()
        self.slowest = Verdict("", "", None, 0.0)
        self.start = time.monotonic()

    def map(self, recipe: Recipe, name: str = "") -> None:
        self.maps += 1
        # What hangs where no signal is seen (inside one long call of C) ends the process with a traceback.
        faulthandler.dump_traceback_later(120, exit=True)
        try:
            cooked = cook(recipe)
        except BadImage as error:
            self.refused += 1
            if not str(error).isprintable() or len(str(error)) > 2000:
                self.wrong(recipe, Verdict("", "refused", f"a bad refusal {str(error)[:300]!r}", 0.0), name)
            return
        except Exception as error:
            self.wrong(recipe, Verdict("", "raised", f"loading raised {type(error).__name__}: {error}", 0.0), name)
            return
        for line in recipe.lines:
            verdict = judge(line, cooked.target, cooked.memory)
            self.commands += 1
            self.outcomes[line.split()[0], verdict.outcome] += 1
            if verdict.seconds > self.slowest.seconds:
                self.slowest = verdict
            if verdict.fault is not None:
                self.wrong(recipe, verdict, name)
        faulthandler.cancel_dump_traceback_later()

    def wrong(self, recipe: Recipe, verdict: Verdict, name: str) -> None:
        kind = re.sub(r"0x[0-9a-f]+|[\d,]+", "#", f"{verdict.line.split(' ')[0]}: {verdict.fault}"[:160])
        if "took" in kind:
            kind += " in " + verdict.detail.splitlines()[-2].split("/")[-1]
        self.faults[kind] += 1
        if self.faults[kind] > 1:
            return
        print(
            f"\n{name} {recipe.source}: {verdict.line[:300]}\n  {str(verdict.fault)[:600]}\n{verdict.detail[-2500:]}",
            flush=True,
        )
        if self.save is not None:
            alone = Recipe(recipe.source, recipe.patches, recipe.lost, recipe.filler, recipe.manifest, [verdict.line])
            with self.save.open("a") as file:
                file.write(alone.json() + "\n")

    def progress(self, number: int) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        spent = time.process_time()
        print(f"{number:,} maps, {self.commands:,} commands, {sum(self.faults.values()):,} faults, "
              f"{spent:.0f} s of processor time, {peak} MiB", flush=True)  # fmt: skip

    def summary(self) -> None:
        print(f"\n{self.maps:,} maps ({self.refused:,} refused when loaded), {self.commands:,} commands in "
              f"{time.process_time():.0f} s of processor time ({time.monotonic() - self.start:.0f} s)")  # fmt: skip
        names = sorted({name for name, _ in self.outcomes})
        kinds = sorted({kind for _, kind in self.outcomes})
        print("  " + " ".join([f"{'':14}", *(f"{kind:>10}" for kind in kinds)]))
        for name in names:
            print("  " + " ".join([f"{name:14}", *(f"{self.outcomes[name, kind]:10,}" for kind in kinds)]))
        print(f"  slowest: {self.slowest.seconds:.2f} s, {self.slowest.line[:100]}")
        for fault, count in self.faults.most_common():
            print(f"  {count:6,} x {fault}")


if __name__ == "__main__":
    sys.exit(main())
