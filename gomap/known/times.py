"""Package time: instants as RFC 3339, durations, months and days of the week."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from gomap.gotypes import GoType, Kind
from gomap.known.look import KnownType, Look, field, integer, number, text_of
from gomap.target import Arch

#: time.Time (time/time.go): the wall clock's seconds since 1885 where it has a monotonic reading, else since year 1.
_HAS_MONOTONIC = 1 << 63
_NANOSECONDS = (1 << 30) - 1
_TO_1885 = 59453308800
_TO_1970 = 62135596800
_DAY = 86400
#: Zones and transitions of one location that are read.
MAX_ZONES, MAX_TRANSITIONS = 256, 1 << 14
_MONTHS = "January February March April May June July August September October November December".split()
_WEEKDAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()


def instant(look: Look, t: GoType, data: bytes) -> str | None:
    """time.Time, as Format(time.RFC3339Nano) writes it."""
    found, location = instant_of(look.target.arch, t, data), field(t, data, "loc")
    if found is None or location is None:
        return None
    return rfc3339(*found, offset_at(look, *location, found[0]))


def instant_of(arch: Arch, t: GoType, data: bytes) -> tuple[int, int] | None:
    """Seconds since 1970, UTC, and nanoseconds of a time.Time."""
    one, other = field(t, data, "wall"), field(t, data, "ext")
    if one is None or other is None:
        return None
    wall, ext = arch.uint(one[1], 0, 8), arch.uint(other[1], 0, 8)
    seconds = ext - (ext >> 63 << 64)
    if wall & _HAS_MONOTONIC:
        seconds = _TO_1885 + ((wall & ~_HAS_MONOTONIC) >> 30)
    return seconds - _TO_1970, wall & _NANOSECONDS


def rfc3339(seconds: int, nanoseconds: int, offset: int) -> str:
    """seconds: since 1970, UTC. offset: seconds east of UTC."""
    days, rest = divmod(seconds + offset, _DAY)
    year, month, day = civil(days)
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    minutes = abs(offset) // 60
    zone = f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}" if offset else "Z"
    shown = f"{year:04}" if year >= 0 else f"-{-year:04}"
    return f"{shown}-{month:02}-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}{fraction}{zone}"


def civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970, in any year: Python's dates end before Go's."""
    eras, within = divmod(days + date(1970, 1, 1).toordinal() - 1, 146097)  # 400 years have as many days
    found = date.fromordinal(within + 1)
    return found.year + 400 * eras, found.month, found.day


def offset_at(look: Look, t: GoType, data: bytes, seconds: int) -> int:
    """Seconds east of UTC at that instant in a *time.Location (lookup of time/zoneinfo.go); 0 for nil, which is UTC,
    and where the program has not read its local time zone yet."""
    address = look.target.arch.pointer(data)
    if not address:
        return 0
    location = t.elem
    content = look.target.memory.read(address, location.size)
    zones = rows(look, field(location, content, "zone"), MAX_ZONES)
    if not zones:
        return 0
    start, end = number(look, location, content, "cacheStart"), number(look, location, content, "cacheEnd")
    cached = field(location, content, "cacheZone")
    if cached is not None and start is not None and end is not None and start <= seconds < end:
        zone = look.target.arch.pointer(cached[1])
        if zone:
            return _offset(look, cached[0].elem, look.target.memory.read(zone, cached[0].elem.size))
    changes = rows(look, field(location, content, "tx"), MAX_TRANSITIONS)
    past = [row for row in changes if (number(look, *row, "when") or 0) <= seconds]
    if not past:
        return _offset(look, *zones[first_zone(look, zones, changes)])
    index = number(look, *past[-1], "index") or 0
    if len(past) == len(changes):
        rule = text_of(look, location, content, "extend")
        known = posix_offset(rule, seconds) if rule else None
        if known is not None:
            return known
    return _offset(look, *zones[index]) if index < len(zones) else 0


def first_zone(look: Look, zones: Sequence[tuple[GoType, bytes]], changes: Sequence[tuple[GoType, bytes]]) -> int:
    """The zone of times before the first transition (lookupFirstZone of time/zoneinfo.go)."""
    used = [number(look, *row, "index") or 0 for row in changes]
    summer = [bool(number(look, *zone, "isDST")) for zone in zones]
    if 0 not in used:
        return 0
    if used and used[0] < len(zones) and summer[used[0]]:
        for i in range(used[0] - 1, -1, -1):
            if not summer[i]:
                return i
    return next((i for i, one in enumerate(summer) if not one), 0)


def _offset(look: Look, t: GoType, data: bytes) -> int:
    return number(look, t, data, "offset") or 0


def rows(look: Look, found: tuple[GoType, bytes] | None, most: int) -> list[tuple[GoType, bytes]]:
    """Elements of a slice."""
    if found is None or found[0].kind is not Kind.SLICE:
        return []
    t, data = found
    arch, elem = look.target.arch, t.elem
    count = min(arch.pointer(data, arch.pointer_size), most)
    content = look.target.memory.read(arch.pointer(data), count * elem.size) if count else b""
    return [(elem, content[i * elem.size : (i + 1) * elem.size]) for i in range(count)]


# -- the rule for times after the last transition, as the environment variable TZ has it (POSIX) ----------------

_NAME = r"(?:<[^>]+>|[A-Za-z]{3,})"
_CLOCK = r"[+-]?\d{1,3}(?::\d{1,2}(?::\d{1,2})?)?"
_DATE = r"(?:J\d{1,3}|\d{1,3}|M\d{1,2}\.\d\.\d)"
_RULE = re.compile(
    rf"{_NAME}(?P<std>{_CLOCK})"
    rf"(?:(?P<summer>{_NAME})(?P<dst>{_CLOCK})?"
    rf"(?:,(?P<start>{_DATE})(?:/(?P<start_at>{_CLOCK}))?,(?P<end>{_DATE})(?:/(?P<end_at>{_CLOCK}))?)?)?\Z"
)
#: The meaning of a rule without dates.
_USUAL = ("M3.2.0", "M11.1.0")


def posix_offset(rule: str, seconds: int) -> int | None:
    """Seconds east of UTC at that instant by the rule; None for one that can't be read."""
    found = _RULE.match(rule)
    if found is None:
        return None
    standard = -_clock(found["std"])
    if not found["summer"]:
        return standard
    summer = -_clock(found["dst"]) if found["dst"] else standard + 3600
    year = civil(seconds // _DAY)[0]
    within = seconds - _days(year) * _DAY
    starts = _day(found["start"] or _USUAL[0], year) * _DAY + _clock(found["start_at"] or "2") - standard
    ends = _day(found["end"] or _USUAL[1], year) * _DAY + _clock(found["end_at"] or "2") - summer
    if starts <= ends:
        return summer if starts <= within < ends else standard
    return standard if ends <= within < starts else summer


def _clock(text: str) -> int:
    """[+-]hh[:mm[:ss]] in seconds."""
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = (*map(int, text.lstrip("+-").split(":")), 0, 0)[:3]
    return sign * (hours * 3600 + minutes * 60 + seconds)


def _days(year: int, month: int = 1) -> int:
    """Days from 1970 to the first of the month."""
    eras, within = divmod(year - 1, 400)
    return date(within + 1, month, 1).toordinal() + eras * 146097 - date(1970, 1, 1).toordinal()


def _day(text: str, year: int) -> int:
    """Days from the start of the year: Jn counts without 29 February from 1, n with it from 0, Mm.w.d is day d of the
    month's week w, of which 5 is the last."""
    if text.startswith("J"):
        day = int(text[1:]) - 1
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return day + (leap and day >= 59)
    if not text.startswith("M"):
        return int(text)
    month, week, weekday = map(int, text[1:].split("."))
    if not 1 <= month <= 12:
        return 0
    first = _days(year, month)
    day = (weekday - (first + 4)) % 7 + 7 * (week - 1)  # 1 January 1970 was a Thursday
    following = _days(year + month // 12, month % 12 + 1)
    while first + day >= following:
        day -= 7
    return first + day - _days(year)


# -- durations and names ----------------------------------------------------------------------------------------


def duration(look: Look, t: GoType, data: bytes) -> str:
    """time.Duration, as its String writes it."""
    return duration_text(integer(look, t, data))


def duration_text(value: int) -> str:
    """1h2m3.5s, 1.5ms, 2µs, 0s. value: in nanoseconds."""
    if value == 0:
        return "0s"
    sign, left = ("-", -value) if value < 0 else ("", value)
    for unit, size in (("ns", 1), ("µs", 1000), ("ms", 1_000_000)):
        if left < size * 1000:
            return f"{sign}{_decimal(left, size)}{unit}"
    seconds = f"{_decimal(left % 60_000_000_000, 1_000_000_000)}s"
    minutes = left // 60_000_000_000
    if not minutes:
        return sign + seconds
    hours = f"{minutes // 60}h" if minutes >= 60 else ""
    return f"{sign}{hours}{minutes % 60}m{seconds}"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{str(rest).rjust(len(str(unit)) - 1, '0').rstrip('0')}" if rest else str(whole)


TIME, DURATION = "time.Time", "time.Duration"
_PART = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_SPAN = re.compile(_PART)
#: A duration as it is written.
SPAN = re.compile(rf"[+-]?(?:{_PART})+(?!\w)")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration(text: str) -> int | None:
    """The nanoseconds of a duration as time.ParseDuration reads it; None for other text."""
    sign = -1 if text.startswith("-") else 1
    body, total = text.lstrip("+-"), 0
    if not body or len(text) - len(body) > 1:
        return None
    if body == "0":
        return 0
    at = 0
    while (part := _SPAN.match(body, at)) is not None:
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS[part[2]]
        total += int(whole or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        at = part.end()
    return sign * total if at == len(body) else None


def month(look: Look, t: GoType, data: bytes) -> str | None:
    """A time.Month by name; None for a number that is none."""
    value = integer(look, t, data)
    return _MONTHS[value - 1] if 1 <= value <= 12 else None


def weekday(look: Look, t: GoType, data: bytes) -> str | None:
    """A time.Weekday by name; None for a number that is none."""
    value = integer(look, t, data)
    return _WEEKDAYS[value] if 0 <= value <= 6 else None


TYPES: Mapping[str, KnownType] = {
    TIME: KnownType(instant, Kind.STRUCT, of_key=True),
    DURATION: KnownType(duration, Kind.INT, of_key=True),
    "time.Month": KnownType(month, Kind.INT),
    "time.Weekday": KnownType(weekday, Kind.INT),
}
