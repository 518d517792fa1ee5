"""Records the maps of images/, which the fuzzer scribbles over: python -m tests.fuzz.make

Needs the Go toolchains of ROWS (`./install.sh --test --full` fetches them) and gdb.
"""

from __future__ import annotations

from tests.fuzz.sources import FOLDERS
from tests.support import debuggers, session, toolchains

#: One row a layout.
ROWS = ("1.23.9", "1.27.3", "1.27.3-mapsplitgroup")
#: Keys and elems of every kind: (program, stage, expressions).
MAPS = (
    (
        "types",
        "filled",
        """Uint16ToString Float64ToSlice Complex128ToMap OddStringToEmbedding AnyToGenericPointer StringerToColor
        HugeToString ArrayToTag PathKeyToAny EmptyToComplex64 Uint32ToCycle StringToMapMap IntPointerToAnonymous
        NameToChan Int64ToUint64 NilMap""",
    ),
    ("growth", "doubling-half", "Keep.Ints"),
    ("growth", "same-size-half", "Keep.Ints"),
    ("growth", "shared", "Keep.Ints"),
)


def main() -> None:
    gdb = debuggers.find("system")
    for row in (row for row in toolchains.MATRIX if row.name in ROWS):
        for program, stage, names in MAPS:
            binary = toolchains.build(program, row, optimised=False)
            for name in names.split():
                if f"main.{name}" not in session.published(binary).get(stage, ()):
                    continue  # the layouts do not grow alike
                command = f"hmap-record main.{name} {FOLDERS[0]}/{row.name}-{stage}-{name}.hmap --overwrite"
                told = debuggers.visit(gdb, binary, {stage: [command]}).at(stage, command)
                print(told.error or told.output.splitlines()[0])


if __name__ == "__main__":
    main()
