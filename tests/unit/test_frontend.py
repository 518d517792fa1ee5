"""The one error boundary: every command line gives an answer or one line, and JSON is always JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap import completion, frontend, moving, rows
from gomap.analysis import sift
from gomap.commands import registry, show
from gomap.commands.whatis import address_of
from gomap.declare import CHOICES, Context, Settings
from gomap.errors import GomapError, Interrupted, MemoryFault, NoProcess
from gomap.frontend import Outcome, tokens
from gomap.gotypes import GoType
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.target import Target, Variable
from tests.support.space import AMD64, add, array_of, basic, target
from tests.support.synthetic import SwissPlan
from tests.support.synthetic_swiss import build_swiss


def world() -> ImageTarget:
    fake, space = target(AMD64)
    built = build_swiss(fake, SwissPlan([1, 2, 3] + [0x80] * 5), basic("int"), basic("int"))
    add(fake, "m", built.type, space.word(built.address))
    add(fake, "n", basic("int"), space.word(1))
    return fake


def run(name: str, line: str, fake: Target | None = None, debug: bool = False) -> Outcome:
    found = fake or world()
    return frontend.run(name, line, lambda: found, Settings(), Style(), debug)


WORDS = [
    ("", []),
    ("  ", []),
    ("m", ["m"]),
    ("m --entries 3", ["m", "--entries", "3"]),
    ("m1\tm2 --all", ["m1", "m2", "--all"]),
    ('p.shards["a b"] --json', ['p.shards["a b"]', "--json"]),
    ('s["a \\" b"] x', ['s["a \\" b"]', "x"]),
    ("s[`a b`] x", ["s[`a b`]", "x"]),
    ("'a b'.c d", ["'a b'.c", "d"]),
    ("0xc000:map[string]int --json", ["0xc000:map[string]int", "--json"]),
    (
        "0xc0:map[struct { A int; B string }]bool --json",
        ["0xc0:map[struct { A int; B string }]bool", "--json"],
    ),
    ("0xc0:map[string]interface {} --json", ["0xc0:map[string]interface {}", "--json"]),
    ("0xc0:map[string]struct {} x", ["0xc0:map[string]struct {}", "x"]),
    ("0xc0:map[int]chan int x", ["0xc0:map[int]chan int", "x"]),
    ("0xc0:map[int]chan<- int x", ["0xc0:map[int]chan<- int", "x"]),
    ("0xc0:map[int]<-chan int x", ["0xc0:map[int]<-chan int", "x"]),
    ("0xc0:map[string]func(int, string) error --json", ["0xc0:map[string]func(int, string) error", "--json"]),
    ("0xc0:map[string]func() --json", ["0xc0:map[string]func()", "--json"]),
    ("arr[ 3 ] x", ["arr[ 3 ]", "x"]),
    ("(*p).m x", ["(*p).m", "x"]),
    # Where a bracket or quote is not closed, what is behind it are options all the same.
    ("m[3 --json", ["m[3", "--json"]),
    ('m "a b --json', ["m", '"a b', "--json"]),
    ("'m.x --entries 3 --json", ["'m.x", "--entries", "3", "--json"]),
    ('m["a --b"] ((x --json', ['m["a --b"]', "((x", "--json"]),
    ('m "a --json b"', ["m", '"a --json b"']),
]


@pytest.mark.parametrize(("line", "words"), WORDS, ids=[line for line, _ in WORDS])
def test_words_of_a_command_line(line: str, words: list[str]) -> None:
    assert tokens(line) == words


@given(st.text())
def test_words_keep_every_character_but_spaces(line: str) -> None:
    assert "".join("".join(tokens(line)).split()) == "".join(line.split())


BAD_LINES = [
    ("hmap-show", ""),
    ("hmap-show", "m n"),
    ("hmap-show", "m --entries"),
    ("hmap-show", "m --entries -3"),
    ("hmap-show", "m --entries x"),
    ("hmap-show", "m --entr 3"),
    ("hmap-show", "m --nope"),
    ("hmap-show", "m --buckets 5-2"),
    ("hmap-show", "m --buckets a"),
    ("hmap-show", "m --goroutine x"),
    ("hmap-get", "m 1 --frame -1"),
    ("hmap-evac", ""),
    ("hmap-alias", "--scope nowhere"),
    ("hmap-alias", "--depth -1"),
    ("hmap-record", "m"),
    ("hmap-nope", "m"),
]


@pytest.mark.parametrize(
    ("name", "typed", "meant"),
    [
        ("hmap-get", 'm["k"]', 'm "k"'),
        ("hmap-get", 'a.b[0]["x y"] --raw', 'a.b[0] "x y" --raw'),
        ("hmap-get", "--goroutine 3 m[i]", "m i --goroutine 3"),
        ("hmap-get", "s.At invalid IP --json", "s.At {} --json"),
        ("hmap-top", "5", "-n 5"),
        ("hmap-top", "--by waste 5 --json", "-n 5 --by waste --json"),
        ("hmap-show", "-n 3 m", "m --entries 3"),
        ("hmap-cycle", "m -n 3", "m --limit 3"),
        ("hmap-entries", "m --where Age > 3 -n 2", "m --limit 2 --where {}"),
        ("hmap-entries", "--where Age>3 m --keys", "m --keys --where {}"),
    ],
)
def test_what_is_typed_is_taken_as_it_is_meant(name: str, typed: str, meant: str) -> None:
    command = registry.find(name)
    assert command is not None
    found = frontend.parse(command, typed)
    if name == "hmap-entries":
        (one,) = found.pop("--where")
        assert (one.field, one.op, one.value, one.length) == ("Age", ">", "3", False)
        wanted = frontend.parse(command, meant.replace(" --where {}", ""))
        del wanted["--where"]
    else:
        wanted = frontend.parse(command, meant)
        if "{}" in meant:
            wanted["KEY"] = "invalid IP"
    assert found == wanted


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("hmap-show", "m --entires 3", "unknown option --entires: did you mean --entries?"),
        ("hmap-shwo", "m", "unknown command 'hmap-shwo': did you mean hmap-show?"),
        ("show", "m", "unknown command 'show': did you mean hmap-show?"),
    ],
)
def test_the_nearest_name_is_suggested(name: str, line: str, said: str) -> None:
    outcome = run(name, line)
    assert outcome.error is not None and said in outcome.error


@pytest.mark.parametrize(("name", "line"), BAD_LINES)
def test_wrong_command_lines_give_one_line(name: str, line: str) -> None:
    outcome = run(name, line)
    assert outcome.error
    assert "\n" not in outcome.error
    assert outcome.output == ""
    # What is wrong is named: the option, or else how the command is used.
    options = [word for word in line.split() if word.startswith("--")]
    said = [*options, f"usage: {name}", "unknown command"]
    assert any(words in outcome.error for words in said)


@pytest.mark.parametrize(("name", "line"), [row for row in BAD_LINES if row[0] != "hmap-record"])
def test_wrong_command_lines_give_json_too(name: str, line: str) -> None:
    outcome = run(name, f"{line} --json")
    assert outcome.error
    answer = json.loads(outcome.output)
    assert outcome.output.count("\n") == 1
    assert answer == {
        "schema": "gomap/1",
        "command": name,
        "error": {"code": "usage", "message": answer["error"]["message"]},
    }


@pytest.mark.parametrize("line", ["no --json", "--json no", "n --json", 'm["x y"] --json', "m --buckets 9 --json"])
def test_failures_in_json(line: str) -> None:
    outcome = run("hmap-show", line)
    answer = json.loads(outcome.output)
    assert outcome.output.isascii()
    assert set(answer) == {"schema", "command", "error"}
    assert set(answer["error"]) == {"code", "message"}
    assert outcome.error
    assert answer["error"]["message"] in outcome.error


def test_an_error_of_the_target_is_one_line() -> None:
    def nothing() -> NoReturn:
        raise NoProcess("there is no process: start the program first")

    outcome = frontend.run("hmap-show", "m", nothing, Settings(), Style())
    assert outcome.output == ""
    assert outcome.error is not None
    assert outcome.error.endswith("there is no process: start the program first")


class Broken(ImageTarget):
    fault: BaseException

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        raise self.fault


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("fault", [ValueError("two\nlines"), KeyError("x"), ZeroDivisionError(), AssertionError()])
def test_faults_of_our_own_are_one_line(fault: Exception, debug: bool) -> None:
    broken = Broken(AMD64, None)
    broken.fault = fault
    outcome = run("hmap-show", "m", broken, debug)
    assert outcome.error
    assert "\n" not in outcome.error
    assert type(fault).__name__ in outcome.error
    assert "report" in outcome.error
    assert ("Traceback" in outcome.output) is debug
    answer = json.loads(run("hmap-show", "m --json", broken).output)
    assert answer["error"]["code"] == GomapError.code


def test_an_interrupt_is_one_line() -> None:
    broken = Broken(AMD64, None)
    broken.fault = KeyboardInterrupt()
    outcome = run("hmap-show", "m --json", broken)
    assert json.loads(outcome.output)["error"]["code"] == "interrupted"


def test_endless_nesting_is_one_line() -> None:
    broken = Broken(AMD64, None)
    broken.fault = RecursionError()
    outcome = run("hmap-show", "m", broken)
    assert outcome.error
    assert "nested" in outcome.error


def test_answers_in_json_name_the_target() -> None:
    answer = json.loads(run("hmap-show", "m --json").output)
    assert answer["schema"] == "gomap/1"
    assert answer["command"] == "hmap-show"
    assert answer["target"] == {
        "backend": "image",
        "kind": "live",
        "go": "go1.99",
        "arch": "amd64",
        "pointer_size": 8,
        "byte_order": "little",
    }
    assert answer["truncated"] is None
    assert set(answer) == {"schema", "command", "target", "data", "anomalies", "truncated", "bounds"}


def test_what_is_left_out_is_said() -> None:
    answer = json.loads(run("hmap-show", "m --entries 2 --json").output)
    assert answer["truncated"] == [{"what": "entries", "shown": 2, "of": 3, "option": "--entries N"}]
    assert len(answer["data"]["entries"]) == 2
    text = run("hmap-show", "m --entries 2").output
    assert "2 of 3 entries shown" in text


def test_json_survives_any_text() -> None:
    """Names with bytes that are no UTF-8, quotes and escapes."""
    fake = world()
    t = fake.variables["m"].type
    odd = GoType(
        t.kind,
        'map["\udc80\n\x1b]',
        t.size,
        lazy_key=t.lazy_key,
        lazy_elem=t.lazy_elem,
        lazy_header=t.lazy_header,
    )
    fake.variables["odd"] = Variable("odd", odd, fake.variables["m"].address)
    outcome = run("hmap-show", "odd --json", fake)
    assert outcome.output.isascii()
    assert outcome.output.count("\n") == 1
    assert json.loads(outcome.output)["data"]["type"] == odd.name


@given(st.sampled_from([c.name for c in registry.COMMANDS if not c.writes_file]), st.text(max_size=30))
def test_no_command_line_breaks_through(name: str, line: str) -> None:
    outcome: Any = run(name, line, FIXED)
    if outcome.error:
        assert "\n" not in outcome.error
        assert "error in gomap" not in outcome.error


FIXED = world()


@pytest.mark.parametrize("line", ["--help", "-h", "m --help"])
def test_help_where_it_is_looked_for(line: str) -> None:
    outcome = run("hmap-show", line)
    assert outcome.error is None
    assert "Usage: hmap-show EXPR" in outcome.output


# -- what the resolution of a name has to say ------------------------------------------------------------

NOTE = "it is taken from frame 3, main.main"
NAMED = [
    ("hmap-show", "m"),
    ("hmap-evac", "m"),
    ("hmap-get", "m 1"),
    ("hmap-check", "m"),
    ("hmap-cycle", "m"),
    ("hmap-alias", "m m"),
    ("hmap-get", "m noted"),
    ("hmap-get", "own[0] noted"),
    ("hmap-get", "own[noted] noted"),
    ("hmap-show", "own[noted]"),
    ("hmap-show", "*&m"),
    ("hmap-show", "nil"),
    ("hmap-evac", "nil"),
    ("hmap-get", "nil 1"),
]


def noted() -> ImageTarget:
    """The world, with variables that were taken from another frame."""
    fake = world()
    m = fake.variables["m"]
    fake.variables["m"] = replace(m, note=NOTE)
    fake.variables["nil"] = replace(m, name="nil", address=None, data=bytes(8), note=NOTE)
    add(fake, "own", array_of(1, m.type), fake.memory.read(m.address, 8))
    fake.variables["noted"] = replace(add(fake, "noted", basic("int"), bytes(8)), note=NOTE)
    return fake


@pytest.mark.parametrize(("name", "line"), NAMED, ids=[f"{name} {line}" for name, line in NAMED])
def test_where_a_variable_was_taken_from_is_told_in_text_and_json(name: str, line: str) -> None:
    text = run(name, line, noted())
    assert text.error is None
    assert text.output.count(f"({NOTE})") == 1
    answer = json.loads(run(name, f"{line} --json", noted()).output)
    told = [(one["severity"], one["code"], one["message"]) for one in answer["anomalies"] if one["message"] == NOTE]
    assert told == [("note", "variable", NOTE)]


FAILING = [
    ("hmap-get", "m m"),
    ("hmap-get", "m missing"),
    ("hmap-get", "own[0] noted.x"),
    ("hmap-get", "own[noted] missing"),
    ("hmap-get", "own[noted] m"),
    ("hmap-show", "noted"),
    ("hmap-show", "m[4711]"),
    ("hmap-show", "m[1]"),
    ("hmap-show", "m[m]"),
    ("hmap-show", "*m"),
    ("hmap-show", "m.x"),
    ("hmap-show", "own[noted].x"),
    ("hmap-show", "m --buckets 4711"),
    ("hmap-check", "m[4711]"),
    ("hmap-sync", "m"),
    ("hmap-cycle", "noted[2]"),
    ("hmap-alias", "m missing"),
    ("hmap-whatis", "m.x"),
]


@pytest.mark.parametrize(("name", "line"), FAILING, ids=[f"{name} {line}" for name, line in FAILING])
def test_an_error_says_it_too(name: str, line: str) -> None:
    """Whatever fails behind a variable: what that is may be what is wrong."""
    text = run(name, line, noted())
    assert text.error is not None and text.error.endswith(f" ({NOTE})") and text.error.count(NOTE) == 1, text.error
    answer = json.loads(run(name, f"{line} --json", noted()).output)
    assert f"{name}: {answer['error']['message']}" == text.error


@pytest.mark.parametrize("text", ["m", "&m", "own[noted]"])
def test_where_an_address_was_taken_from(text: str) -> None:
    """hmap-whatis, which searches a process."""
    context = Context(noted(), resolved=[])
    address_of(context, text)
    assert [one.note for one in context.resolved or ()] == [NOTE]


@pytest.mark.parametrize("key", ['"a --json b"', "`a --json b`", '"a --help b"', '"--json"', "'--json'"])
def test_options_in_quotes_are_text(key: str) -> None:
    """The answer is of the form that was asked for."""
    outcome = run("hmap-get", f"m {key}")
    assert outcome.output == "" and outcome.error is not None
    assert json.loads(run("hmap-get", f"m {key} --json").output)["error"]["message"] in outcome.error


def test_what_retained_does_not_go_with() -> None:
    fake, _ = target(AMD64)
    for option in ("--group type", "--unreachable"):
        outcome = frontend.run("hmap-top", f"--by retained {option}", lambda: fake, Settings(), Style())
        assert outcome.error is not None and f"can't be combined with {option.split()[0]}" in outcome.error


# -- a program that goes on ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said", "tries"),
    [
        (MemoryFault(0x10, 8), "cannot read 8 bytes of memory at 0x10", moving.MAX_READINGS),
        (GomapError("no"), "no", moving.MAX_READINGS),
        (Interrupted("interrupted: no"), "interrupted: no", 1),
    ],
    ids=["fault", "error", "interrupted"],
)
def test_an_error_while_a_map_is_written_to(
    monkeypatch: pytest.MonkeyPatch, error: GomapError, said: str, tries: int
) -> None:
    """It is tried again, but not after Ctrl-C, and keeps its kind."""
    calls = []

    def fail(*_: object) -> NoReturn:
        calls.append(1)
        raise error

    monkeypatch.setattr(show, "run", fail)
    monkeypatch.setattr(moving, "bounds", lambda _: moving.Bounds(1, {0x10: 1}))
    outcome = run("hmap-show", "m")
    told = f" ({frontend.MOVED})" if tries > 1 else ""
    assert outcome.error == f"hmap-show: {said}{told}"
    assert (outcome.problem, len(calls)) == (type(error), tries)


@pytest.mark.parametrize("word", [0, 1])
def test_the_text_of_a_key_in_a_nil_map_too(word: int) -> None:
    fake, space = target(AMD64)
    duration = replace(basic("int64"), name="time.Duration")
    built = build_swiss(fake, SwissPlan([1] + [0x80] * 7), duration, basic("int"))
    add(fake, "m", built.type, space.word(built.address * word))
    data = json.loads(run("hmap-get", "m 90000000000 --json", fake).output)["data"]
    assert data["key_text"] == "1m30s"


def test_hmap_and_a_space() -> None:
    lines = ("hmap show m", " hmap  show m --json", "hmap-show m", "hmap", "hmap ", "")
    parted = [("hmap-show", "m"), ("hmap-show", "m --json"), ("hmap-show", "m"), ("hmap", ""), ("hmap", ""), ("", "")]
    assert [registry.parted(line) for line in lines] == parted
    assert run("hmap", "").output.startswith(registry.overview())


# -- text for other programs -----------------------------------------------------------------------------


def test_csv_that_is_not_whole_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script would take it for all there is."""
    whole = run("hmap-entries", "m --csv")
    assert (whole.output.splitlines()[0], len(whole.output.splitlines()), whole.error) == ("key,value", 4, None)
    first = run("hmap-entries", "m --csv --limit 1")
    assert (first.output.splitlines(), first.error) == (whole.output.splitlines()[:2], None)

    def interrupted(*_: object) -> Iterator[rows.Rows]:
        yield from rows.rows_of(*_)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(sift, "rows_of", interrupted)
    cut = run("hmap-entries", "m --csv")
    assert cut.output == whole.output
    assert cut.error == "hmap-entries: interrupted: 0 entries were not looked at"


# -- words of options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", registry.COMMANDS, ids=lambda one: one.name)
def test_every_word_that_an_option_takes_is_completed(command: Any) -> None:
    needed = " ".join("x" for arg in command.args if arg.positional and not arg.optional)
    for arg in command.all_args:
        for word in CHOICES.get(arg.type, ()):
            assert frontend.parse(command, f"{needed} {arg.name} {word}")[arg.name] == word
            assert word in (arg.type.__doc__ or "") and word in (completion.of_options(command, [arg.name], "") or ())


def test_rows_are_a_number() -> None:
    """--entries of hmap-snapshot takes an expression: -n is no other name of it."""
    assert run("hmap-show", "m -n 1 --json").error is None
    outcome = run("hmap-snapshot", "/nowhere/a.snap -n 5")
    assert outcome.error is not None and "unknown option -n" in outcome.error
