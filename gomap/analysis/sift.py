"""Entries of a map that meet conditions, in an order: by columns, so that a million take seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from heapq import nlargest, nsmallest
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Callable

from gomap.errors import BadExpression, UsageError
from gomap.fields import find_field, promoted
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import TOO_MANY, too_many
from gomap.gotypes import POINTER_KINDS, SCALAR_KINDS, GoType, Kind
from gomap.human import an
from gomap.known import find
from gomap.known.numbers import whole
from gomap.known.times import DURATION, TIME, instant_of, parse_duration
from gomap.listing import bare, raw_texts, texts
from gomap.progress import Progress
from gomap.rows import INTEGERS, Column, Rows, rows_of
from gomap.syntax import unquote
from gomap.values import UNREADABLE, Values

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": eq, "=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge,
}  # fmt: skip
_CONDITION = re.compile(r"\s*(?P<field>[\w.()·]+?)\s*(?P<op>==|!=|<=|>=|!~|=|<|>|~)\s*(?P<value>.+?)\s*\Z", re.S)
_LENGTH = re.compile(r"len\((.*)\)\Z")
_WITH_LENGTH = (Kind.STRING, Kind.SLICE, Kind.MAP, Kind.CHAN, Kind.ARRAY)
#: What has more bytes than the value itself.
_SIZED = (Kind.STRING, Kind.SLICE, Kind.MAP)
#: A value in an interface, behind its type.
_CONVERTED = re.compile(r"[\w./~%*·\[\],-]+\((?P<value>.*)\)\Z", re.S)
#: Numbers as Go writes them: 007 is none.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:/[1-9]\d*|(?:\.\d+)?(?:e[+-]\d+)?)\Z")
#: Steps of one field: values.py has a limit of its own for what it shows.
MAX_STEPS = 16
#: Rows in an order that are kept: all of them are there before the first is known.
MAX_SORTED = 1 << 17


@dataclass(frozen=True)
class Condition:
    """FIELD OP VALUE. length: of the field's value, as len gives it."""

    field: str
    op: str
    value: str
    length: bool = False


def condition(text: str) -> Condition:
    """a condition, such as Age > 30, key != "x" or len(value) >= 10"""
    found = _CONDITION.match(text)
    if found is None:
        raise ValueError(text)
    inside = _LENGTH.match(found["field"])
    return Condition(inside[1] if inside else found["field"], found["op"], found["value"], inside is not None)


def pattern(text: str) -> re.Pattern[str]:
    """a regular expression"""
    try:
        return re.compile(unquoted(text))
    except re.error:
        raise ValueError(text) from None


def unquoted(text: str) -> str:
    """The text within quotes; text without quotes unchanged."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        return unquote(text) if text[0] == '"' else text[1:-1]
    return text


@dataclass(frozen=True)
class Question:
    """match: searched for in keys and elems. limit: how many rows, None for all."""

    match: re.Pattern[str] | None = None
    where: Sequence[Condition] = ()
    sort: str | None = None
    reverse: bool = False
    limit: int | None = None
    keys: bool = False

    @property
    def selects(self) -> bool:
        """Whether it leaves out any entries."""
        return self.match is not None or bool(self.where)


@dataclass
class Sifted:
    """rows: the entries to show, in order. looked, matched: numbers of entries so far. whole: all entries were
    looked at. interrupted: the user stopped the search."""

    rows: list[Rows] = field(default_factory=list)
    looked: int = 0
    matched: int = 0
    shown: int = 0
    whole: bool = False
    interrupted: bool = False


#: Keeps some of the rows.
Test = Callable[[Rows], Sequence[bool]]


def sift(values: Values, t: GoType, found: MapView, question: Question, progress: Progress) -> Sifted:
    """values: what people see, and how much of it. Raises BadExpression, and
    GomapError where there are many more entries than the header counts."""
    tests: list[Test] = [_test(values, t, one) for one in question.where]
    if question.match is not None:
        tests.append(partial(_matches, values, question.match, question.keys))
    sifted, ranking = Sifted(), _ranking(values, t, question)
    try:
        for rows in rows_of(t, found):
            looked = sifted.looked + len(rows)
            if looked > found.count + TOO_MANY:
                raise too_many(found.count, looked)
            for test in tests:
                rows = rows.kept(test(rows)) if len(rows) else rows
            left = len(rows) if question.limit is None else question.limit - sifted.shown
            if ranking is not None:
                ranking.add(rows)
            elif left > 0 and len(rows):
                sifted.rows.append(rows.first(left))
                sifted.shown += len(sifted.rows[-1])
            sifted.looked, sifted.matched = looked, sifted.matched + len(rows)
            progress("entries", looked, found.count)
            if question.limit is not None and sifted.shown >= question.limit and not tests:
                break
        else:
            sifted.whole = True
    except KeyboardInterrupt:
        sifted.interrupted = True
    if ranking is not None:
        sifted.rows = ranking.rows()
        sifted.shown = len(sifted.rows)
    return sifted


# -- what a field's values are compared by ---------------------------------------------------------------------


def _column(values: Values, rows: Rows, path: FieldPath) -> Column:
    column = rows.keys() if path.of_key else rows.elems()
    memory, word = values.target.memory, values.target.arch.pointer_size
    for offset, t in path.steps:
        column = column.behind(memory, word, t) if offset is None else column.part(t, offset)
    return column


@dataclass(frozen=True)
class FieldPath:
    """The way to a field: (offset, its type), or (None, the type) for what a pointer leads to."""

    of_key: bool
    steps: tuple[tuple[int | None, GoType], ...]
    type: GoType


def path_of(t: GoType, name: str) -> FieldPath:
    """key, value, key.Name, value.Name, or Name of the elem, else of the key. Raises BadExpression."""
    first, *rest = name.strip(".").split(".")
    if first in ("key", "value"):
        return _path(t, first == "key", rest, name)
    try:
        return _path(t, False, [first, *rest], name)
    except BadExpression:
        if _struct(t.key) is None or find_field(_struct(t.key), first) is None:  # type: ignore[arg-type]
            raise
    return _path(t, True, [first, *rest], name)


def _struct(t: GoType) -> GoType | None:
    for _ in range(MAX_STEPS):  # type P *P has no end
        if t.kind is not Kind.POINTER or t.lazy_elem is None:
            break
        t = t.elem
    return t if t.kind is Kind.STRUCT else None


def _to_value(path: FieldPath) -> FieldPath:
    """On through pointers, where they lead to something that has an order: *time.Time is compared as time.Time."""
    steps, t = list(path.steps), path.type
    while t.kind is Kind.POINTER and t.lazy_elem is not None and len(steps) < MAX_STEPS:
        t = t.elem
        steps.append((None, t))
    return FieldPath(path.of_key, tuple(steps), t) if _ordered(t) else path


def _path(t: GoType, of_key: bool, names: Sequence[str], whole: str) -> FieldPath:
    steps: list[tuple[int | None, GoType]] = []
    at = t.key if of_key else t.elem
    for name in names:
        for one in _fields(at, name, whole):
            while at.kind is Kind.POINTER and len(steps) < MAX_STEPS:
                at = at.elem
                steps.append((None, at))
            at = one.type
            steps.append((one.offset, at))
    return FieldPath(of_key, tuple(steps), at)


def _fields(t: GoType, name: str, whole: str) -> Sequence[Any]:
    struct = _struct(t)
    found = find_field(struct, name) if struct is not None else None
    if found is not None:
        return found
    if struct is None:
        raise BadExpression(f"{whole}: there is no field {name}: each value is {an(t.name)}; use key or value")
    near = get_close_matches(name, promoted(struct), 1, 0.6)
    more = f"; did you mean {near[0]}?" if near else f": it has {', '.join(promoted(struct)[:12])}"
    raise BadExpression(f"{whole}: {struct.name} has no field {name}{more}")


def comparable(values: Values, column: Column) -> Sequence[Any]:
    """What values are ordered by: numbers, strings, booleans, instants; others as _natural has it; None where they
    can't be read."""
    t = column.type
    if t.kind in (Kind.INT, Kind.UINT) and t.size in INTEGERS:
        return column.numbers(t.size, t.kind is Kind.INT)
    if t.kind is Kind.BOOL:
        return [None if one is None else bool(one) for one in column.numbers(1, False)]
    if t.kind is Kind.FLOAT:
        return column.floats()
    if t.name == TIME:
        return [None if one is None else instant_of(values.target.arch, t, one) for one in column.items()]
    if t.kind is Kind.STRING:
        return [None if one is UNREADABLE else one for one in raw_texts(values, column, False)]
    plain = replace(values, raw=False) if values.raw else values
    return [None if one is UNREADABLE else _natural(one) for one in texts(plain, column, False)]


_A_NUMBER, _A_TEXT, _NIL = range(3)
#: What has no value in an order.
_ABSENT = (_NIL, "")


def _natural(text: str) -> tuple[int, Any]:
    """What a value is compared as that is known by its text, such as an atomic.Int64, a sql.NullString or what an
    interface holds: its kind, and a number or a string."""
    found = _CONVERTED.match(text)
    text = found["value"] if found is not None else text
    if text in ("nil", "NULL"):
        return _ABSENT
    if _NUMBER.match(text):
        above, _, below = text.partition("/")
        if below:
            return _A_NUMBER, Fraction(whole(above), whole(below))
        return _A_NUMBER, float(text) if {".", "e"} & set(text) else whole(text)
    return _A_TEXT, bare(text)


def _compares_text(t: GoType) -> bool:
    """Whether comparable gives what _natural does."""
    return t.kind not in (Kind.INT, Kind.UINT, Kind.FLOAT, Kind.BOOL, Kind.STRING) and t.name != TIME


def _literal(t: GoType, text: str) -> Any:
    """What a value that was typed is compared as. Raises UsageError."""
    bare = unquoted(text)
    if t.kind is Kind.BOOL and bare in ("true", "false"):
        return bare == "true"
    if t.name == DURATION and parse_duration(bare) is not None:
        return parse_duration(bare)
    if t.name == TIME:
        return _instant(bare)
    if t.kind in (Kind.INT, Kind.UINT, Kind.FLOAT):
        for read in (lambda: int(bare.replace("_", ""), 0), lambda: float(bare)):
            try:
                return read()
            except ValueError:
                continue
    if t.kind in (Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT):
        raise UsageError(f"{text} can't be compared with {an(t.name)}")
    return bare


def _instant(text: str) -> tuple[int, int]:
    try:
        fraction = re.search(r"\.(\d+)", text)
        plain = re.sub(r"\.\d+", "", text)
        plain = re.sub(r"Z\Z", "+00:00", plain)
        found = datetime.fromisoformat(plain)
    except ValueError:
        raise UsageError(f"{text} is not a time: write it as 2006-01-02 or 2006-01-02T15:04:05Z") from None
    found = found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    elapsed = found - epoch
    nanoseconds = int(fraction[1][:9].ljust(9, "0")) if fraction else 0
    return elapsed.days * 86400 + elapsed.seconds, nanoseconds


def _test(values: Values, t: GoType, one: Condition) -> Test:
    path = path_of(t, one.field)
    if one.length:
        if path.type.kind not in _WITH_LENGTH:
            raise BadExpression(f"len({one.field}): {an(path.type.name)} has no length")
        number = GoType(Kind.INT, "int", values.target.arch.pointer_size)
        return _comparing(lambda rows: lengths(values, _column(values, rows, path)), number, one)
    if one.op in ("~", "!~"):
        try:
            search = pattern(one.value).search
        except ValueError:
            raise UsageError(f"{one.value} is not a regular expression") from None
        wanted, to = one.op == "~", _to_value(path)
        return lambda rows: [
            text is not UNREADABLE and (search(text) is not None) is wanted
            for text in raw_texts(values, _column(values, rows, to), to.of_key)
        ]
    may_be_nil = path.type.kind in POINTER_KINDS or path.type.kind in (Kind.SLICE, Kind.INTERFACE)
    if may_be_nil and one.value == "nil" and one.op in ("==", "=", "!="):
        nil, word = one.op != "!=", values.target.arch.pointer_size
        return lambda rows: [
            number is not None and (number == 0) is nil for number in _column(values, rows, path).numbers(word, False)
        ]
    to = _to_value(path)
    found = partial(_comparables, values, to)
    return _comparing_text(found, to.type, one) if _compares_text(to.type) else _comparing(found, to.type, one)


def _comparables(values: Values, path: FieldPath, rows: Rows) -> Sequence[Any]:
    return comparable(values, _column(values, rows, path))


def _comparing_text(found: Callable[[Rows], Sequence[Any]], t: GoType, one: Condition) -> Test:
    """Orders are of numbers or of strings: a string is neither above nor below a number."""
    compare, text = _COMPARISONS[one.op], unquoted(one.value)
    literal = (_A_TEXT, text) if text != one.value else _natural(text)
    if compare in (eq, ne):
        same = {literal, (_A_TEXT, text)}
        return lambda rows: [value is not None and (value in same) is (compare is eq) for value in found(rows)]
    return lambda rows: [
        value is not None and value[0] == literal[0] != _NIL and compare(value[1], literal[1]) for value in found(rows)
    ]


def _comparing(found: Callable[[Rows], Sequence[Any]], t: GoType, one: Condition) -> Test:
    literal, compare = _literal(t, one.value), _COMPARISONS[one.op]
    return lambda rows: [value is not None and compare(value, literal) for value in found(rows)]


def _matches(values: Values, wanted: re.Pattern[str], keys: bool, rows: Rows) -> Sequence[bool]:
    search = wanted.search
    of_keys = [search(text) is not None for text in raw_texts(values, rows.keys(), True)]
    if keys or all(of_keys):
        return of_keys
    rest = rows.kept([not one for one in of_keys])
    of_elems = iter([search(text) is not None for text in raw_texts(values, rest.elems(), False)])
    return [one or next(of_elems) for one in of_keys]


# -- orders ----------------------------------------------------------------------------------------------------


def _ranking(values: Values, t: GoType, question: Question) -> _BestRows | None:
    """Where the rows are to be in an order: numbers upwards, sizes downwards."""
    limit = MAX_SORTED if question.limit is None else min(question.limit, MAX_SORTED)
    if question.sort is None:
        return None
    if question.sort == "size":
        _sized(t.elem)
        return _BestRows(lambda rows: sizes(values, rows.elems()), not question.reverse, limit)
    path = _to_value(path_of(t, question.sort))
    if question.sort != "key" and not _ordered(path.type):
        field = f"--sort {question.sort}"
        names = promoted(struct) if (struct := _struct(path.type)) is not None else []
        raise BadExpression(
            f"{field}: {an(path.type.name)} has no order" + (f"; name a field: {', '.join(names[:8])}" if names else "")
        )
    return _BestRows(partial(_comparables, values, path), question.reverse, limit)


def _ordered(t: GoType) -> bool:
    return t.kind in (*SCALAR_KINDS, Kind.INTERFACE) or find(t) is not None


#: A row and what it is ordered by: its key, a number that keeps rows of equal keys as they were, and its place in rows.
_Ranked = tuple[Any, int, Rows, int]
#: Rows that are collected before the best of them are chosen.
_COLLECTED = 1 << 13


@dataclass
class _BestRows:
    """The first `limit` rows in order."""

    order: Callable[[Rows], Sequence[Any]]
    down: bool
    limit: int
    best: list[_Ranked] = field(default_factory=list)
    #: Not chosen yet.
    fresh: list[_Ranked] = field(default_factory=list)
    #: Rows whose keys have no order come last: nil, NaN and what can't be read.
    last: list[Rows] = field(default_factory=list)
    seen: int = 0

    def add(self, rows: Rows) -> None:
        sign, last, keyed = -1 if self.down else 1, [], []
        for i, key in enumerate(self.order(rows)):
            if key is None or key == _ABSENT or key != key:
                last.append(i)
            else:
                keyed.append((key, sign * (self.seen + i), rows, i))
        self.seen += len(rows)
        self.last += rows.each(last[: self.limit - len(self.last)])
        self.fresh += self._first(keyed)
        if len(self.fresh) > max(self.limit, _COLLECTED):
            self._choose()

    def _first(self, ranked: Sequence[_Ranked]) -> list[_Ranked]:
        return (nlargest if self.down else nsmallest)(self.limit, ranked)

    def _choose(self) -> None:
        """Of those chosen the rows are kept alone, without all that was read with them."""
        self.best, self.fresh = self._first([*self.best, *self.fresh]), []
        together: dict[int, list[int]] = {}
        for i, one in enumerate(self.best):
            together.setdefault(id(one[2]), []).append(i)
        for places in together.values():
            rows = self.best[places[0]][2]
            if len(rows) == 1:
                continue
            for i, row in zip(places, rows.each([self.best[i][3] for i in places])):
                self.best[i] = (*self.best[i][:2], row, 0)

    def rows(self) -> list[Rows]:
        self._choose()
        return [*(rows for _, _, rows, _ in self.best), *self.last][: self.limit]


def lengths(values: Values, column: Column) -> Sequence[int | None]:
    """What len gives."""
    t, word = column.type, values.target.arch.pointer_size
    number = GoType(Kind.UINT, "uint", word)
    if t.kind is Kind.ARRAY:
        return [None if one is None else t.length for one in column.items()]
    if t.kind in (Kind.STRING, Kind.SLICE):
        return column.part(number, word).numbers(word, False)
    header = column.behind(values.target.memory, word, number)
    counts = header.numbers(word, False)  # hmap.count, Map.used, hchan.qcount
    pointers = column.numbers(word, False)
    return [0 if pointer == 0 else count for pointer, count in zip(pointers, counts)]


def _sized(t: GoType) -> None:
    """Raises BadExpression where all values are of one size."""
    struct = _struct(t)
    fields = struct.fields if struct is not None else ()
    if t.kind not in _SIZED and not any(f.type.kind in _SIZED for f in fields):
        raise BadExpression(f"--sort size: all values of type {t.name} have one size")


def sizes(values: Values, column: Column) -> Sequence[int | None]:
    """Bytes of each value: its own, and those of the strings, slices and maps in it."""
    t, word = column.type, values.target.arch.pointer_size
    if t.kind is Kind.POINTER:
        return sizes(values, column.behind(values.target.memory, word, t.elem))
    if t.kind in _SIZED:
        one = 1 if t.kind is Kind.STRING else t.elem.size + (t.key.size if t.kind is Kind.MAP else 0)
        return [None if length is None else t.size + one * length for length in lengths(values, column)]
    if t.kind is Kind.STRUCT:
        inner = [
            [None if size is None else size - f.type.size for size in sizes(values, column.part(f.type, f.offset))]
            for f in t.fields
            if f.type.kind in _SIZED
        ]
        own = [None if one is None else t.size for one in column.items()]
        return [None if None in row else sum(size or 0 for size in row) for row in zip(own, *inner)]
    return [None if one is None else t.size for one in column.items()]
