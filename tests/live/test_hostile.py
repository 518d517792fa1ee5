"""Text of the program that would move a terminal reaches it escaped, and --json as it is."""

from __future__ import annotations

import json
import re

from tests.support import debuggers, delves, session, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

MAPS = ("Keys", "Lines", "Anys", "Shared", "Tagged")
#: Of each of the program's texts a part, as it has to be shown.
SHOWN = (
    r"\x1b[2J\x1b[1;1H\x1b]0;owned\a", r"\x1b]8;;http://example.com\x1b\\here", r"\x1bP+q544e\x1b\\",
    r"\b\b\btab\tline\nreturn\rfeed\f\v", r"nul\x00del\x7f", r"\u009b31mC1\u0085", r"\xff\xfe\xc0\xaf\xed\xa0\x80",
    r"\u202egnp.exe\u202c", r"\u2066x\u2069\u200f\u061c", r"zero\u200bwidth\u2060\ufeff", r"\u2028line\u2029",
    r"\U000e0041tag", r"soft\u00adhyphen\u00a0", "%s %n {0}",
    "</script><script>owned()</script><!--", "<img src=x onerror=owned()>",
)  # fmt: skip
#: What the program calls the file of main.hold.
FILE = r"\x1b]0;owned\x07\u202eog.txt"
KEY = r'"\x1b[2J\x1b[1;1H\x1b]0;owned\a"'
OTHER = r'"\x1b[2J\x1b[1;1H\x1b]0;owned\a\u202e"'
ENTRIES = "hmap-show main.Keep.Keys --entries 40"
HOLDERS = "hmap-alias --all --depth 8"
COMMANDS = (
    *session.SETTINGS,
    ENTRIES,
    f"{ENTRIES} --full",
    HOLDERS,
    *(f"hmap-show main.Keep.{name} --entries 41 --buckets 0" for name in MAPS),
    "hmap-alias main.Keep.Keys local",
    f"hmap-get main.Keep.Keys {KEY}",
    f"hmap-get main.Keep.Keys {OTHER}",
    f"hmap-get main.Keep.Tagged {KEY}",
    f"hmap-show main.Keep.Shared[{KEY}]",
    f"hmap-show main.Keep.Shared[{OTHER}]",
    f"hmap-show main.Keep.{KEY}",
    "hmap-check --all",
    "hmap-evac main.Keep.Tagged",
    *(session.show(f"main.Keep.{name}") for name in MAPS),
)
#: Once each in gdb: they share how text is shown with those above.
ONCE = (
    "hmap-top -n 0",
    "hmap-top -n 0 --values",
    "hmap-advise -n 0 --min 0",
    "hmap-race",
    "hmap-whatis main.Keep.Tagged",
    f"hmap-whatis main.More.Own[{KEY}]",
    "hmap-cycle main.More.Self --limit 40",
    "hmap-sync main.More.Synced --entries 40",
    "hmap-show main.More.Own --iterators",
    "hmap-alias --slices",
    "hmap-alias --all --scope all --slices",
)
#: Those of them that have to show the text, and not only what leads to it.
SHOWING = ONCE[4:]
REFUSED = (f"hmap-sync main.Keep.{KEY}", f"hmap-sync main.More.Own[{KEY}]", f"hmap-cycle main.Keep.{KEY}")
IN_COLOUR = (
    "set hmap color on",
    *(f"hmap-show main.Keep.{name} --entries 42 --buckets 0" for name in MAPS),
    "hmap-alias --all --depth 9",
)
#: The colours that gomap and pygments use.
COLOUR = re.compile(r"\033\[[0-9;]*m")


def check(found: Session) -> None:
    unfit = []
    for answer in found.answers:
        for text in (COLOUR.sub("", answer.output), answer.error or ""):
            odd = {ascii(c) for c in text if not c.isprintable() and c != "\n"}
            if odd:
                unfit.append(f"{answer.command}: {sorted(odd)}")
    assert unfit == []
    # Lines are broken where a word is longer than the screen. Maps that are held alike are one entry.
    holders, whole = ("".join(found.at("filled", command).output.split()) for command in (HOLDERS, f"{ENTRIES} --full"))
    assert "".join(FILE.split()) in holders and any("".join(text.split()) in holders for text in SHOWN)
    assert all("".join(text.split()) in whole for text in SHOWN)
    assert SHOWN[0][:16] in found.at("filled", ENTRIES).output
    for name in MAPS:
        output = found.at("filled", session.show(f"main.Keep.{name}")).output
        assert output.isascii()
        answer, truth = json.loads(output), found.truth["filled"]["maps"][f"main.Keep.{name}"]
        assert session.difference(answer["data"], truth, answer["truncated"] is not None) is None


def in_gdb(gdb: Gdb, row: Row) -> None:
    commands = (f"source {session.HELPERS}", "gomap_user_frame", *COMMANDS, *ONCE, *REFUSED, *IN_COLOUR)
    found = debuggers.visit(gdb, toolchains.build("hostile", row, optimised=False), {"filled": commands})
    check(found)
    for command in ONCE:
        answer = found.at("filled", command)
        assert answer.error is None and answer.output, answer
        # Cut where a column ends; --iterators shows the one key that its loop is at.
        assert command not in SHOWING or any(text[:4] in answer.output for text in SHOWN), answer
    for command in REFUSED:
        assert "error in gomap" not in (found.at("filled", command).error or "error in gomap"), command


def test_gdb(system_gdb: Gdb, system_go: Row) -> None:
    in_gdb(system_gdb, system_go)


def test_gdb_and_classic_maps(system_gdb: Gdb, old_go: Row) -> None:
    in_gdb(system_gdb, old_go)


def test_delve(dlv: Dlv, system_go: Row) -> None:
    binary = toolchains.build("hostile", system_go, optimised=False)
    found = delves.visit(dlv, binary, {"filled": ["frame 1", *COMMANDS, *IN_COLOUR]})
    check(found)
    assert FILE in found.at("filled", "frame 1").output
