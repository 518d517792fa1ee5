"""Makes the recorded maps of this folder, with what the programs said of them: python -m tests.unit.images.make

Needs the whole matrix of Go toolchains (`./install.sh --test --full` fetches them) and gdb. Run it when
the file format changes, or when there is a new layout.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import debuggers, session, toolchains

FOLDER = Path(__file__).resolve().parent
#: One row a layout, and the oldest.
ROWS = ("1.21.13", "1.24.11-noswissmap", "1.25.5", "1.27.3", "1.27.3-mapsplitgroup")
#: What is recorded: (program, stage, expression).
CLASSIC = [("growth", stage, "main.Keep.Ints") for stage in ("doubling-half", "same-size-half")]
SWISS = [("growth", stage, "main.Keep.Ints") for stage in ("small-full", "shared")]
BOTH = [
    ("types", "filled", "main.OddStringToStruct"),
    ("types", "filled", "main.Boxed"),
    ("types", "filled", "main.NilNamed"),
    ("layout", "filled", "main.Maps.Bytes129Bytes129"),
    ("layout", "filled", "main.Maps.EmptyEmpty"),
    ("deletes", "deleted", "main.Keep.Ints"),
    ("snapshots", "three", "main.Keep.Versions[0].Users"),
]


def main() -> None:
    gdb = debuggers.find("system")
    index = []
    for row in (row for row in toolchains.MATRIX if row.name in ROWS):
        for program, stage, expr in [*CLASSIC, *SWISS, *BOTH]:
            binary = toolchains.build(program, row, optimised=True)
            if expr not in session.published(binary).get(stage, ()):
                continue
            name = f"{row.name}-{program}-{stage}-{expr.split('.', 1)[1].replace('[', '-').replace(']', '')}.hmap"
            command = f"hmap-record {expr} {FOLDER / name} --overwrite"
            answers = debuggers.visit(gdb, binary, {stage: [*session.SETTINGS, command]})
            told = answers.at(stage, command)
            if told.error is not None:
                raise SystemExit(told.error)
            truth = answers.truth[stage]["maps"][expr]
            index.append({"file": name, "stage": stage, "expr": expr, "truth": truth})
    lines = ",\n".join(json.dumps(entry) for entry in index)
    (FOLDER / "index.json").write_text(f"[\n{lines}\n]\n")
    print(f"{len(index)} maps")


if __name__ == "__main__":
    main()
