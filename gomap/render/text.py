"""Reports for people: the answer first, then what backs it. Fits the width it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gomap.anomaly import Anomaly
from gomap.human import visible
from gomap.render.color import Paint
from gomap.report import Bars, Facts, Heat, Lines, Listed, Progress, Report, Section, Table, left_out
from gomap.wrap import columns
from gomap.wrap import wrapped as _wrap

_BLOCKS = "·▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".123456789"
LABEL = 12
MAX_LABEL = 44
MIN_TEXT = 20
MIN_COLUMN = 3
#: Columns that cells which are never cut get at least beside others; with less they go below these.
BESIDE = 28
#: Columns before cells that stand below others.
BELOW = 6
#: Columns that an optional column of a table takes at least.
OPTIONAL = 16
#: Columns of a path for which others are left out.
PATH = 72
_WORST_FIRST = ("error", "warning", "note")
#: This many warnings (or notes) of one kind are shown, with the number of the others.
ALIKE = 3
#: Tables of more rows are aligned here, which is much faster.
MANY_ROWS = 1000


@dataclass(frozen=True)
class Style:
    """width: columns of the screen. color: escape codes. blocks: block characters can be shown. terminal: there is a
    screen."""

    width: int = 80
    color: bool = False
    blocks: bool = False
    terminal: bool = False

    @property
    def columns(self) -> int | None:
        """Columns of the screen, None where there is none: help is wrapped for a screen alone."""
        return self.width if self.terminal else None


def render(report: Report, style: Style) -> str:
    """The report as text, ending in a newline. Text of the target is escaped first: none of it reaches a terminal
    unchanged."""
    paint = Paint(style.color)
    if report.plain is not None:
        return "".join(report.plain)
    answer = _wrapped(
        [visible(line) for line in [*report.answer, *(f"({one.message})" for one in report.notes)]], style.width
    )
    lines = [paint("bold", line) if i == 0 else line for i, line in enumerate(answer)]
    blocks = [(section, _section(_visible(section), style, paint)) for section in report.sections]
    before: tuple[Section, list[str]] | None = None
    for section, block in blocks:
        if block:
            lines += ["", *block] if before is None or _spaced(section, *before) else block
            before = section, block
    tail = _tail(report, style.width, paint)
    if tail:
        lines += ["", *tail]
    return "\n".join(lines) + "\n"


def _visible(section: Section) -> Section:
    if isinstance(section, Facts):
        return replace(section, rows=[(visible(name), visible(text)) for name, text in section.rows])
    if isinstance(section, Table):
        return replace(section, rows=[[visible(cell) for cell in row] for row in section.rows])
    if isinstance(section, Lines):
        return replace(section, rows=[visible(row) for row in section.rows])
    if isinstance(section, Listed):
        rows = [
            (visible(label), [visible(item) for item in items], visible(more)) for label, items, more in section.rows
        ]
        return replace(section, rows=rows)
    return section


def _spaced(section: Section, before: Section, block: list[str]) -> bool:
    """Whether an empty line comes before the section. before, block: the one before it, and its lines."""
    if isinstance(section, Facts) and section.apart is None:
        # They would read as further rows of a table, but not behind a hint, which has an empty line before it.
        return isinstance(before, Table) and "" not in block
    return isinstance(section, Table) or (isinstance(section, (Facts, Lines)) and bool(section.apart))


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    return [part for line in lines for part in _wrap(line, width, 2 + len(line) - len(line.lstrip(" ")))]


def _section(section: Section, style: Style, paint: Paint) -> list[str]:
    if isinstance(section, Facts):
        return _facts(section, style, paint)
    if isinstance(section, Listed):
        return _listed(section, style, paint)
    if isinstance(section, Table):
        return _table(section, style, paint) if section.middle is None else _narrowed(section, style, paint)
    if isinstance(section, Heat):
        return _heat(section, style, paint)
    if isinstance(section, Bars):
        return _bars(section, style, paint)
    if isinstance(section, Progress):
        return [_progress(section, style, paint)]
    return _wrapped(section.rows, style.width)


def _facts(section: Facts, style: Style, paint: Paint) -> list[str]:
    if not section.rows:
        return []
    label = max([LABEL, section.label + 1, *(columns(name) + 1 for name, _ in section.rows)])
    label = min(label, MAX_LABEL, max(style.width - MIN_TEXT - 3, LABEL))
    lines = []
    for name, text in section.rows:
        room = max(style.width - label - 3, MIN_TEXT)
        parts = _wrap(text, room, 0)
        if columns(name) > label:
            lines.append("  " + paint("dim", fit(name, style.width - 2, style.blocks)))
            name = ""
        lines.append("  " + paint("dim", pad(name, label)) + " " + parts[0])
        lines += [" " * (label + 3) + part for part in parts[1:]]
    return lines


def _listed(section: Listed, style: Style, paint: Paint) -> list[str]:
    label = max([LABEL, section.label + 1, *(columns(name) + 1 for name, _, _ in section.rows)])
    label = min(label, MAX_LABEL, max(style.width - MIN_TEXT - 3, LABEL))
    lines = []
    for name, items, remark in section.rows:
        behind = f" ({remark})" if remark else ""
        text = f"{pad(name, label)} {', '.join(items)}{behind}"
        if columns(name) <= label and columns(text) + 2 <= style.width:
            lines.append("  " + paint("dim", pad(name, label)) + text[len(pad(name, label)) :])
            continue
        lines += [paint("dim", part) for part in _wrap(f"  {name}{behind}", style.width, 4)]
        lines += [part for item in items for part in _wrap(f"      {item}", style.width, 8)]
    return lines


def _narrowed(section: Table, style: Style, paint: Paint) -> list[str]:
    """A line a row: columns are left out, and paths shortened in the middle, as the screen is narrow."""
    at = section.middle or 0
    widths = [max(columns(row[i]) for row in [section.headings, *section.rows]) for i in range(len(section.headings))]
    kept = list(range(len(widths)))
    longest, widths[at] = widths[at], min(widths[at], PATH)

    def missing() -> int:
        return 2 + 2 * (len(kept) - 1) + sum(widths[i] for i in kept) - style.width

    for i in section.optional:
        most = max(widths[i] - OPTIONAL, 0)
        if missing() <= 0:
            break
        if missing() <= most:
            widths[i] -= missing()
        else:
            kept.remove(i)
    widths[at] = min(max(widths[at] - missing(), MIN_TEXT), longest)
    rows = [[fit_middle(row[i], widths[i], style.blocks) if i == at else row[i] for i in kept] for row in section.rows]
    cut = any(columns(row[at]) > widths[at] for row in section.rows)
    right = frozenset(place for place, i in enumerate(kept) if i in section.right)
    shown_as = [[fit(cell, widths[i], style.blocks) for cell, i in zip(row, kept)] for row in rows]
    lines = _table(Table([section.headings[i] for i in kept], shown_as, right), style, paint)
    return [*lines, *(_hint(section, style, paint) if cut and lines else [])]


def _hint(section: Table, style: Style, paint: Paint) -> list[str]:
    return ["", *_facts(Facts([section.hint]), style, paint)] if section.hint is not None else []


def _table(section: Table, style: Style, paint: Paint) -> list[str]:
    rows = [list(row) for row in section.rows]
    if not rows:
        return []
    count = len(section.headings)
    widths = [max(columns(row[i]) for row in [section.headings, *rows]) for i in range(count)]
    spare = style.width - 2 - 2 * (count - 1) - sum(widths)
    if spare < 0 and section.whole is not None:
        indent = 2 + sum(widths[: section.whole]) + 2 * section.whole
        if indent + BESIDE <= style.width:
            return _stacked(section, section.whole, indent, style, paint)
        return _below(section, section.whole, style, paint)
    whole, yielding = list(widths), [i for i in range(count) if i != section.kept]
    while spare < 0 and yielding and max(widths[i] for i in yielding) > MIN_COLUMN:  # the widest column gives way
        widths[max(yielding, key=lambda i: widths[i])] -= 1
        spare += 1
    if spare < 0 and section.kept is not None:
        indent = 2 + sum(whole[: section.kept]) + 2 * section.kept
        if indent + MIN_TEXT <= style.width:
            return _stacked(section, section.kept, indent, style, paint)
        widths[section.kept] = max(widths[section.kept] + spare, MIN_COLUMN)
    fitted = [
        [fit(row[i], widths[i], style.blocks, i in section.names) for i in range(count)]
        for row in [section.headings, *rows]
    ]
    head, *body = _tabulated(section, fitted) or _aligned(section, fitted)
    if style.color:
        body = [_code_columns(section, line, row, paint) for line, row in zip(body, fitted[1:])]
    hint = _hint(section, style, paint) if fitted[1:] != rows else []
    return ["  " + paint("dim", head.rstrip()), *("  " + line.rstrip() for line in body), *hint]


def _below(section: Table, first: int, style: Style, paint: Paint) -> list[str]:
    """The columns from `first` on below the others, each cell whole on lines of its own."""
    before = [section.headings[:first], *(row[:first] for row in section.rows)]
    widths = [max(columns(row[i]) for row in before) for i in range(first)]
    whole: list[list[str]]
    if not first:
        whole = [[] for _ in before]
    elif sum(widths) + 2 * first <= style.width:
        whole = [[line] for line in _table(Table(before[0], before[1:], section.right), style, paint)]
    else:
        whole = [_wrap("  " + "  ".join(filter(None, row)), style.width, 4) for row in before]
    head, *left = whole
    room = max(style.width - BELOW, 1)

    def lines(cells: Sequence[str]) -> list[str]:
        return [" " * BELOW + part for cell in cells if cell for part in _wrap(cell, room, 2)]

    under = [paint("dim", line) for line in lines([", ".join(section.headings[first:])])]
    return [*head, *under, *(line for start, row in zip(left, section.rows) for line in [*start, *lines(row[first:])])]


def _stacked(section: Table, first: int, indent: int, style: Style, paint: Paint) -> list[str]:
    """The columns from `first` on under each other, each cell whole."""
    before = Table(section.headings[:first], [row[:first] for row in section.rows], section.right)
    head, *left = _table(before, style, paint)
    room = style.width - indent
    lines = [pad(head, indent) + paint("dim", fit(", ".join(section.headings[first:]), room, style.blocks))]
    cut = False
    for line, row in zip(left, section.rows):
        cells = row[first:]
        if section.whole is None:
            fitted = [fit(cell, room - 2, style.blocks) for cell in cells[1:]]
            cut = cut or fitted != list(cells[1:])
            cells = [cells[0], *fitted]
        told = [part for cell in cells if cell for part in _wrap(cell, room, 2)] or [""]
        lines += [(pad(line, indent) + told[0]).rstrip(), *(" " * indent + part for part in told[1:])]
    return [*lines, *(_hint(section, style, paint) if cut else [])]


def _tabulated(section: Table, rows: list[list[str]]) -> list[str] | None:
    try:
        from tabulate import tabulate
    except ImportError:
        return None
    if len(rows) > MANY_ROWS or any(columns(cell) != len(cell) for row in rows for cell in row):
        return None  # without wcwidth beside it, tabulate takes every character for one column; and it takes long
    align = ["right" if i in section.right else "left" for i in range(len(section.headings))]
    # The headings go in as a row: tabulate makes columns wider than their headings need.
    text = tabulate(rows, tablefmt="plain", colalign=align, disable_numparse=True, preserve_whitespace=True)
    lines = text.split("\n")
    return lines if len(lines) == len(rows) else None


def _aligned(section: Table, rows: list[list[str]]) -> list[str]:
    """What tabulate does, for a gdb whose Python has no tabulate."""
    widths = [max(columns(row[i]) for row in rows) for i in range(len(section.headings))]
    return ["  ".join(pad(text, widths[i], i in section.right) for i, text in enumerate(row)) for row in rows]


def _code_columns(section: Table, line: str, row: list[str], paint: Paint) -> str:
    """Colours the cells that hold Go values, from the right so that positions stay."""
    end = len(line)
    for i in reversed(range(len(row))):
        if not row[i]:
            continue
        at = line.rfind(row[i], 0, end)
        if at < 0:
            continue
        if i in section.code:
            line = line[:at] + paint.code(row[i]) + line[at + len(row[i]) :]
        end = at
    return line


def _heat(section: Heat, style: Style, paint: Paint) -> list[str]:
    room = max(style.width - LABEL - 3, 8)
    cells = list(section.cells)
    per = -(-len(cells) // room)
    if per > 1:
        cells = [sum(cells[i : i + per]) / len(cells[i : i + per]) for i in range(0, len(cells), per)]
    levels = _BLOCKS if style.blocks else _ASCII_LEVELS
    counts = [round(cell * section.of[0]) for cell in cells] if section.of and per == 1 and not style.blocks else None
    texts = [_level(levels, cell) for cell in cells] if counts is None else map(str, counts)
    strip = "".join(paint.heat(cell, text) for cell, text in zip(cells, texts))
    head = "  " + paint("dim", pad(section.label, LABEL)) + " "
    low, high = section.scale
    tail = f"(each character is {section.cell}, from {levels[0]} for {low} to {levels[-1]} for {high})"
    if counts is not None and section.of is not None:
        tail = f"(each digit is {section.cell}: its number of {section.of[1]})"
    lines = [head + strip]
    if columns(lines[0]) + 1 + len(tail) <= style.width:
        return [lines[0] + " " + paint("dim", tail)]
    room = style.width - LABEL - 3
    return [lines[0], *(" " * (LABEL + 3) + paint("dim", part) for part in _wrap(tail, room, 1))]


def _level(levels: str, fraction: float) -> str:
    """Empty and full have a character of their own; everything between shares the rest."""
    if fraction <= 0:
        return levels[0]
    inner = len(levels) - 1
    return levels[min(1 + int(min(fraction, 1.0) * (inner - 1e-9)), inner)]


def _bars(section: Bars, style: Style, paint: Paint) -> list[str]:
    if not section.rows:
        return []
    most = max(amount for _, amount in section.rows)
    numbers = [f"{amount:,}" for _, amount in section.rows]
    width = max(columns(label) for label, _ in section.rows)
    room = max(min(style.width - LABEL - 6 - width - max(map(len, numbers)), 32), 0)
    title, *rest = _wrap(section.title, max(style.width - LABEL - 3, MIN_TEXT), 0)
    lines = ["  " + paint("dim", f"{pad(section.label, LABEL)} {title}")]
    lines += ["  " + paint("dim", f"{' ' * LABEL} {part}") for part in rest]
    for (label, amount), text in zip(section.rows, numbers):
        length = min(max(round(amount * room / most), 1), room) if amount else 0
        bar = ("█" if style.blocks else "#") * length
        filled = paint.heat(int(label) / 8 if label.isdigit() else 1.0, bar)
        name = f"{' ' * LABEL} {label:>{width}}"
        lines.append(f"  {name}  {filled}{' ' * (room - length)} {text:>{max(map(len, numbers))}}")
    return lines


def _progress(section: Progress, style: Style, paint: Paint) -> str:
    room = min(style.width - 4, 60)
    done = min(int(section.fraction * room), room)
    full, rest = ("█", "░") if style.blocks else ("#", ".")
    return "  " + paint("cyan", full * done) + paint("dim", rest * (room - done))


def _tail(report: Report, width: int, paint: Paint) -> list[str]:
    lines = []
    for severity in _WORST_FIRST:
        for told in _by_code(one for one in report.anomalies if one.severity == severity):
            # A search through an optimised program meets many variables that are not set. The answer is above.
            shown = told if severity == "error" or len(told) <= ALIKE + 1 else told[:ALIKE]
            for anomaly in shown:
                lines += _labelled(severity, _anomaly(anomaly), width, paint)
            if len(shown) < len(told):
                more = f"{len(told) - len(shown):,} more like these: --json lists them"
                lines += _labelled(severity, more, width, paint)
    for cut in report.truncated or []:
        lines += _labelled("partial", left_out(cut), width, paint)
    for advice in report.advice:
        lines += _labelled("note", advice, width, paint)
    return lines


def _by_code(anomalies: Iterable[Anomaly]) -> Iterable[list[Anomaly]]:
    found: dict[str, list[Anomaly]] = {}
    for one in anomalies:
        found.setdefault(one.code, []).append(one)
    return found.values()


def _anomaly(anomaly: Anomaly) -> str:
    named = anomaly.address is not None and f"{anomaly.address:#x}" not in anomaly.message
    return f"{anomaly.message} (at {anomaly.address:#x})" if named else anomaly.message


def _labelled(label: str, text: str, width: int, paint: Paint) -> list[str]:
    color = {"error": "red", "warning": "yellow", "partial": "yellow"}.get(label, "cyan")
    parts = _wrap(visible(text), max(width - LABEL - 3, 20), 0)
    return [
        "  " + paint(color, pad(label, LABEL)) + " " + parts[0],
        *(" " * (LABEL + 3) + part for part in parts[1:]),
    ]


# -- widths ------------------------------------------------------------------------------------------


def pad(text: str, width: int, right: bool = False) -> str:
    """Text filled with spaces to `width` columns.

    right: aligned to the right.
    """
    space = " " * max(width - columns(text), 0)
    return space + text if right else text + space


def fit(text: str, width: int, blocks: bool, at_front: bool = False) -> str:
    """Cut to `width` columns, with a mark where something is missing: at the end, or at the front."""
    if columns(text) <= width:
        return text
    if at_front:
        return fit(text[::-1], width, blocks)[::-1]  # the mark reads alike from both sides
    mark = "…" if blocks else "..."
    if text.isascii() and "\033" not in text:
        return text[: max(width - len(mark), 0)] + mark
    return _start(text, width - len(mark)) + mark


def fit_middle(text: str, width: int, blocks: bool) -> str:
    """Cut to `width` columns in the middle: of a path the variable's name and the last fields say most. What stands
    behind two spaces is cut before that, at its end."""
    if columns(text) <= width:
        return text
    path, space, remark = text.partition("  ")
    if space:
        room = width - columns(path) - 2
        return f"{path}  {fit(remark, room, blocks)}" if room >= MIN_COLUMN else fit_middle(path, width, blocks)
    mark = "…" if blocks else "..."
    room = max(width - len(mark), 2)
    front = _start(text, room * 2 // 5)
    return front + mark + _start(text[::-1], room - columns(front))[::-1]


def _start(text: str, width: int) -> str:
    """As much of the text as so many columns have room for."""
    if text.isascii() and "\033" not in text:
        return text[: max(width, 0)]
    kept = ""
    for character in text:
        if columns(kept + character) > width:
            break
        kept += character
    return kept
