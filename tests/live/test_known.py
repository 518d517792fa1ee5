"""Values of the types that people know by another text than their fields, against what the program makes of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support import debuggers, delves, directly, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row

SHOW = "hmap-show {} --entries 2000 --full --json"
CSV = "hmap-entries main.Users.Plain --where key < 3 --sort key --csv"
CONTINUED = "hmap-entries main.Users.ByName --where Nam == x"
#: Two ways to type one thing.
MEANT = (
    ('hmap-get main.Keep.Months["7"] --json', 'hmap-get main.Keep.Months "7" --json'),
    ("hmap-show -n 1 main.Keep.Raw --json", "hmap-show main.Keep.Raw --entries 1 --json"),
)
#: What Tab offers in gdb.
COMPLETED = {
    "complete hmap-show Kee": ["hmap-show Keep"],
    "complete hmap-show main.Keep.By": [
        f"hmap-show main.Keep.{name}" for name in ("ByAddr", "ByKey", "ByLength", "ByTime", "Bytes")
    ],
    "complete hmap-show Keep.Str": ["hmap-show Keep.Strings"],
    "complete hmap-top --by wa": ["hmap-top --by waste"],
    'complete hmap-get main.Keep.Rats "th': ['hmap-get main.Keep.Rats "third"'],
}
#: gdb's own print, without the script that comes with Go.
PRINTED = {
    "print 'main.Keep'.Inner": '["a"] = {At:2001-09-09T01:46:40Z, TTL:1m30s, Err:*errors.errorString("late")}',
    "print 'main.Keep'.ByAddr": "[10.1.2.3] = 8",
    "print 'main.Keep'.Durations": '["zero"] = 0s',
}
#: Maps whose keys have a text of their own, and are typed as it.
BY_KEY = ("ByLength", "ByTime", "ByAddr", "ByKey", "New.ByName")


def named(name: str) -> str:
    return f"main.{name}" if "." in name else f"main.Keep.{name}"


def questions(notes: Mapping[str, Any]) -> list[str]:
    texts = notes["texts"]
    return [
        CSV,
        CONTINUED,
        *(command for pair in MEANT for command in pair),
        *(SHOW.format(named(name)) for name in texts),
        *(f"hmap-get {named(name)} {key} --json" for name in BY_KEY for key in some(texts.get(name, ()))),
        *(entries(line) for line in notes["users"]),
        'hmap-get main.Keep.Inner "a" --raw',
        'hmap-get main.Keep.Inner "a"',
        "hmap-show main.Keep.Bytes --entries 9",
    ]


def some(keys: Iterable[str]) -> list[str]:
    """As many as every kind of key needs."""
    return sorted(keys)[:14]


def entries(line: str) -> str:
    """The command of a line that leaves out where the maps are."""
    return (
        "hmap-entries "
        + re.sub(r"\b(ByName|Strings|Wide|Mixed|Plain)\b", r"main.Users.\1", line)
        + " --limit 0 --json" * ("--limit" not in line and "-n " not in line)
        + " --json" * ("--limit" in line or "-n " in line)
    )


def looked_into(answers: Session, users: Mapping[str, list[str] | None]) -> Iterator[str]:
    """hmap-entries lists what the program's own loops find, in its order."""
    for line, truth in users.items():
        answer = answers.at("filled", entries(line)).json()
        told = [
            str(one["key"]).replace("[20]int64{", "[").replace("}", "]").replace(",", "")
            for one in answer["data"]["entries"]
        ]
        if told != (truth or []):
            yield f"{line}: {told[:9]} is not {(truth or [])[:9]}"
        if "-n " not in line and "--limit" not in line and answer["data"]["matched"] != len(truth or []):
            yield f"{line}: {answer['data']['matched']} match, not {len(truth or [])}"


def differences(answers: Session, texts: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for name, truth in texts.items():
        data = answers.at("filled", SHOW.format(named(name))).json()["data"]
        of_keys = name in BY_KEY
        told = {
            entry["key_text"] if of_keys else entry["key"]: str(entry["value_text"] or entry["value"])
            for entry in data["entries"]
        }
        if name == "ByLength":
            truth = {key: value.strip('"') for key, value in truth.items()}
        for key in sorted({*truth, *told}):
            if told.get(key) != truth.get(key):
                yield f"{name} {key}: {told.get(key)} is not {truth.get(key)}"
        for key in some(truth) if of_keys else ():
            found = answers.at("filled", f"hmap-get {named(name)} {key} --json").json()
            data = found.get("data")
            if data is None or not data["found"] or data["key_text"] != key or str(data["value"]) != truth[key]:
                yield f"{name}[{key}]: {found}"


def check(answers: Session) -> None:
    notes = answers.truth["filled"]["notes"]
    problems = [*differences(answers, notes["texts"]), *looked_into(answers, notes["users"])]
    assert not problems, f"{len(problems)}:\n" + "\n".join(problems[:20])
    for typed, meant in MEANT:
        assert answers.at("filled", typed).json()["data"] == answers.at("filled", meant).json()["data"]
    lines = answers.at("filled", CSV).output.splitlines()
    assert list(csv.reader(lines)) == notes["csv"]
    assert answers.at("filled", CONTINUED).error == (
        "hmap-entries: Nam: main.User has no field Nam; did you mean Name?"
    )
    inner = answers.at("filled", 'hmap-get main.Keep.Inner "a"')
    assert 'main.Keep.Inner["a"] = {At:2001-09-09T01:46:40Z, TTL:1m30s,' in inner.output
    raw = answers.at("filled", 'hmap-get main.Keep.Inner "a" --raw').output
    assert "main.Inner{At:time.Time{wall:0x0, " in raw.replace("wall:0,", "wall:0x0,") and "TTL:90000000000" in raw
    shown = answers.at("filled", "hmap-show main.Keep.Bytes --entries 9").output
    assert shown.startswith("map[string][]byte  main.Keep.Bytes  ") and r'"lines"  "a\tb\nc\n"' in shown
    # The JSON contract: exact fields.
    exact = answers.at("filled", SHOW.format("main.Keep.Durations")).json()["data"]["entries"]
    assert all(isinstance(one["value"], int) for one in exact)


def asked(binary: Path) -> list[str]:
    """The texts of another run: keys are the same in each."""
    with directly.waiting(binary, "filled") as (_, truth):
        return questions(truth["filled"]["notes"])


def test_live(both_layouts: Row, gdb: Gdb) -> None:
    binary = toolchains.build("known", both_layouts, gdb.name != "system")
    more = [*PRINTED, *COMPLETED, "hmap show main.Keep.Raw --json", "print 'main.Keep'.Raw", "hmap-show $ --json"]
    answers = debuggers.visit(gdb, binary, {"filled": [*asked(binary), "up 2", "set print elements unlimited", *more]})
    check(answers)
    for command, lines in COMPLETED.items():
        assert answers.at("filled", command).output.splitlines() == lines
    shown = [answers.at("filled", more[-i]).json()["data"] for i in (1, 3)]
    assert shown[0].pop("expr") != shown[1].pop("expr") and shown[0] == shown[1]
    for command, text in PRINTED.items():
        assert text in answers.at("filled", command).output


def test_delve(both_layouts: Row, dlv: Dlv) -> None:
    binary = toolchains.build("known", both_layouts, optimised=True)
    check(delves.visit(dlv, binary, {"filled": asked(binary)}))


def test_without_a_debugger(toolchain: Row) -> None:
    """Each version of Go, whose types have other fields."""
    binary = toolchains.build("known", toolchain, optimised=False)
    check(directly.visit(binary, "filled", asked(binary)))
