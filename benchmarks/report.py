"""The points as a table, and as a picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from html import escape

from benchmarks.measure import Point, exponent

#: Medians that are compared, over / under: from what size on (0: at the largest alone), and what is wanted of them.
LIMITS = (
    ("show", "raw", 10**6, "at most", 2.0),
    ("eval", "show", 10**6, "at least", 50.0),
    ("eval", "entries", 0, "at least", 20.0),
    ("runtime-gdb", "entries", 0, "at least", 300.0),
)

#: Seconds that a command may take: series, way, size.
SECONDS = (
    ("alias", "gdb", 10_000, 3.0),
    ("alias", "delve", 10_000, 8.0),
    ("top", "gdb", 100_000, 60.0),
    ("check", "gdb", 10**6, 1.0),
    ("check-strings", "gdb", 10**6, 4.0),
)
#: A larger exponent is more than what scatters about a straight line.
LINEAR = 1.15


def duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.{1 if seconds * factor < 100 else 0}f} {unit}"
    raise AssertionError


def line(point: Point) -> str:
    """One point, as it is told while measuring goes on."""
    head = f"{point.series:13} {point.go:17} {point.way:13} {point.kind:8} {point.size:>10,}"
    if not point.seconds:
        return f"{head}  {point.note}"
    more = f"  {point.memory / 2**20:.0f} MiB more" if point.memory >> 20 else ""
    spread = f"+-{100 * point.spread:.0f}%"
    note = f"  {point.note}" if point.note else ""
    return f"{head}  {duration(point.median):>9} {spread:>6} of {len(point.seconds):2}{more}{note}"


def text(about: dict[str, str], points: Sequence[Point]) -> str:
    parts = ["\n".join(f"{name}: {value}" for name, value in about.items())]
    parts.append(
        "\n".join(["All measurements (median, half the distance between quartiles, how many)", *map(line, points)])
    )
    parts.append("\n".join(["Ratios of medians, measured in turn", *ratios(points)]))
    parts.append("\n".join(["Seconds that are wanted", *limits(points)]))
    parts.append("\n".join(["How time grows: time = c * size ^ e, from 10,000 on", *exponents(points)]))
    return "\n\n".join(parts) + "\n"


def ratios(points: Sequence[Point]) -> list[str]:
    rows = []
    measured = {(p.series, p.go.split()[0], p.way, p.kind, p.size): p for p in points if p.seconds and not p.note}
    for over, under, since, word, limit in LIMITS:
        found = [point for key, point in measured.items() if key[0] == over]
        for point in found:
            base = measured.get((under, point.go.split()[0], point.way, point.kind, point.size))
            if base is None:
                continue
            ratio = point.median / base.median
            largest = max(other.size for other in found if other.key == point.key)
            row = f"{over:11} / {under:8} {base.go:17} {point.way:13} {point.kind:8} {point.size:>10,}  {ratio:8.2f}"
            if over == "show" and base.cpu and statistics.median(base.cpu):
                row += f"  (of processor time {statistics.median(point.cpu) / statistics.median(base.cpu):.2f})"
            if point.size >= (since or largest):
                met = ratio <= limit if word == "at most" else ratio >= limit
                row += f"  wanted {word} {limit:g}{'' if met else ': MISSED'}"
            rows.append(row)
    return rows


def limits(points: Sequence[Point]) -> list[str]:
    rows = []
    for series, way, size, limit in SECONDS:
        for point in points:
            if (point.series, point.size) == (series, size) and point.way.startswith(way) and point.seconds:
                met = "" if point.median <= limit else ": MISSED"
                head = f"{series:13} {point.go:17} {point.way:13} {point.kind:8} {size:>10,}"
                rows.append(f"{head}  {duration(point.median):>9}  wanted at most {limit:g} s{met}")
    return rows


def exponents(points: Sequence[Point]) -> list[str]:
    rows = []
    for key in dict.fromkeys(point.key for point in points):
        found = exponent(point for point in points if point.key == key)
        if found is not None:
            series, go, way, kind = key
            more = "  more than linear" if found > LINEAR else ""
            rows.append(f"{series:13} {go:17} {way:13} {kind:8}  {found:5.2f}{more}")
    return rows


#: Rows of the short table: what it is called, the series, the largest size to show.
SHORT = (
    ("plain read of the same memory", "raw", 10**6),
    ("hmap-show", "show", 10**6),
    ("hmap-show, all entries as JSON", "entries", 10**6),
    ("Go's runtime-gdb.py prints the map", "runtime-gdb", 10**6),
    ("Delve's Eval loads the map", "eval", 10**6),
    ("the program ranges over it", "range", 10**6),
    ("hmap-get of a key", "get", 10**7),
    ("hmap-check, all keys hashed", "check", 10**6),
    ("hmap-check, map[string]string, 16-byte keys", "check-strings", 10**6),
    ("hmap-alias --scope all, goroutines of 7 calls", "alias", 10**5),
    ("hmap-top, goroutines with a map each", "top", 10**5),
)


def markdown(about: dict[str, str], points: Sequence[Point]) -> str:
    """The short table, for a README: one column for each debugger and layout. The kind is map[int]int, or the row's."""
    columns = list(dict.fromkeys((p.go.split()[0], p.way) for p in points if p.series in ("show", "check")))
    columns = [column for column in columns if "core" not in column[1]]
    rows = []
    for title, series, largest in SHORT:
        found = [p for p in points if p.series == series and p.seconds and p.size <= largest and p.kind != "structs"]
        found = [p for p in found if p.kind == ("strings" if series == "check-strings" else "ints")]
        for size in sorted({p.size for p in found}, reverse=True)[:1]:
            cells = []
            for go, way in columns:
                one = [p for p in found if p.size == size and p.go.split()[0] == go and p.way in (way, "program")]
                cells.append(duration(one[0].median) if one else "")
            rows.append(f"| {title} | {size:,} | " + " | ".join(cells) + " |")
    layout = {p.go.split()[0]: p.go for p in points if " " in p.go}
    head = " | ".join(f"{layout.get(go, go)}, {way}" for go, way in columns)
    told = "; ".join(f"{name} {about[name]}" for name in ("date", "machine", "numpy", "load") if name in about)
    return f"{told}\n\n| median | size | {head} |\n|---|---|{'---|' * len(columns)}\n" + "\n".join(rows) + "\n"


# -- the picture -------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 440, 64, 44, 190, 48
COLORS = ("#2a6fb0", "#7fb2dd", "#c25b2a", "#8a4fa3", "#b03a48", "#5c8a3c", "#777777")


def svg(about: dict[str, str], points: Sequence[Point]) -> str:
    """map[int]int of the last go measured, in the first gdb and through Delve: time over entries, both logarithmic."""
    chosen = lines_of(points)
    every = [point for _, found in chosen for point in found]
    if not every:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'
    x = _axis([point.size for point in every], LEFT, WIDTH - RIGHT)
    y = _axis([point.median for point in every], HEIGHT - BOTTOM, TOP)
    where = f"{about.get('machine', '')}, {about.get('date', '')}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" fill="#222222">map[int]int, {escape(every[0].go)}</text>',
        f'<text x="{LEFT}" y="36" fill="#777777">{escape(where)}</text>',
    ]
    for power in range(math.floor(y.low), math.ceil(y.high) + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e4e4e4"/>')
        label = duration(10.0**power).replace(".0", "")
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#555555">{label}</text>')
    for size in sorted({point.size for point in every}):
        at = x(size)
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#555555">{size:,}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle" fill="#555555">entries</text>'
    )
    taken: list[float] = []
    for (name, found), color in sorted(zip(chosen, COLORS), key=lambda one: y(one[0][1][-1].median)):
        path = " ".join(f"{x(point.size):.1f},{y(point.median):.1f}" for point in found)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for point in found:
            parts.append(f'<circle cx="{x(point.size):.1f}" cy="{y(point.median):.1f}" r="3" fill="{color}"/>')
        at = max([y(found[-1].median), *(other + 15 for other in taken)])
        taken.append(at)
        parts.append(f'<text x="{x(found[-1].size) + 8:.1f}" y="{at + 4:.1f}" fill="{color}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


class _axis:
    """A logarithmic axis over these values, from one place to another."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        logs = [math.log10(value) for value in values]
        self.low, self.high = math.floor(min(logs)), math.ceil(max(logs) - 1e-9)
        self.high += self.high == self.low
        self.start, self.scale = start, (end - start) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        return self.start + (math.log10(value) - self.low) * self.scale


def lines_of(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    wanted = (
        ("hmap-show", "show", "gdb"),
        ("plain read", "raw", "gdb"),
        ("hmap-show, all entries", "entries", "gdb"),
        ("Delve's Eval", "eval", "delve direct"),
        ("Go's runtime-gdb.py", "runtime-gdb", "gdb"),
        ("range in the program", "range", "program"),
    )
    of_ints = [point for point in points if point.kind == "ints" and point.seconds and not point.note]
    chosen = []
    for name, series, way in wanted:
        found = [point for point in of_ints if point.series == series and point.way.startswith(way)]
        found = [point for point in found if point.go == found[-1].go and point.way == found[-1].way]
        if found:
            chosen.append((name, sorted(found, key=lambda point: point.size)))
    return chosen
