"""An unstripped build of the same source, whose names and types stand for those of a stripped program."""

from __future__ import annotations

from gomap import elf
from gomap.errors import WrongProgram

#: Sections that hold the program's code: their bytes have to be the same.
_CODE = (".text",)
#: Sections whose addresses its variables and types have.
_PLACED = (".rodata", ".noptrdata", ".data", ".bss", ".noptrbss")


def check(program: str, twin: str) -> None:
    """Raises WrongProgram where the twin is not of the same code with everything at the same place; BadElf, OSError."""
    with elf.mapped(program) as data, elf.mapped(twin) as other:
        if elf.parse(data).machine != elf.parse(other).machine:
            raise WrongProgram(f"{twin} is for another machine than {program}")
        if not elf.has_code(other) and any(elf.build_ids(data)) and elf.build_ids(data) == elf.build_ids(other):
            return  # the debug information alone, of the same link
        own = {section.name: section for section in elf.sections(data)}
        its = {section.name: section for section in elf.sections(other)}
        for name in _CODE:
            if name not in own or name not in its:
                raise WrongProgram(f"{program} and {twin}: one of them has no section {name} to compare")
            if own[name].address != its[name].address or elf.contents(data, own[name]) != elf.contents(
                other, its[name]
            ):
                raise WrongProgram(
                    f"{twin} has other code than {program}: build the same source with the same Go and flags, without "
                    "-s and -w"
                )
        for name in _PLACED:
            if name in own and (name not in its or own[name].address != its[name].address):
                raise WrongProgram(
                    f"{twin} has the same code as {program}, but {name} elsewhere: build it with -f in place of each "
                    "-s and -w"
                )
