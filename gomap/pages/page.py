"""The page as HTML: its templates, and the scripts and styles that it allows itself.

jinja2 writes it, plotly.js draws its chart. Both are optional packages. plotly.js is read from plotly's package and is
part of the page, which needs nothing from anywhere.

What the program has (names, types, keys, values) reaches the page in two ways: through jinja2, which escapes all that a
template prints, and as JSON in a script element that is not run. A Content-Security-Policy allows the page's own two
scripts by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gomap import human
from gomap.anomaly import Anomaly
from gomap.errors import GomapError
from gomap.heap.objects import python
from gomap.report import Heat, Lines, Section, Table, left_out

#: plotly.js, in plotly's package.
CHARTS = "package_data/plotly.min.js"
#: plotly.js adds the styles of a library of maps (of the world) that is part of it, unless an element has this name.
_UNUSED_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)')
#: Cells of a strip are added up so that there are no more.
MAX_CELLS = 256
#: Anomalies of one kind that are listed.
ALIKE = 24
_WORST_FIRST = ("error", "warning", "note")


class NoTemplates(GomapError):
    """jinja2 or plotly is not installed in the Python that runs this."""

    code = "no-templates"


def needed() -> tuple[Any, str]:
    """(jinja2, the text of plotly.js). Raises NoTemplates."""
    try:
        spec = find_spec("plotly")
        places = spec.submodule_search_locations if spec is not None else None
        charts = Path(next(iter(places or ())), *CHARTS.split("/")).read_text(encoding="utf-8")
        import jinja2

        return jinja2, charts
    except Exception:  # what a library that does not fit this Python raises may be any of them
        what = f"this needs jinja2 and plotly, and {python()} does not have both"
        raise NoTemplates(f"{what}: python3 -m pip install jinja2 plotly") from None


def write(facts: Mapping[str, Any], data: Mapping[str, Any] | None) -> bytes:
    """The page. facts: for the template page.html. data: for its script, None for a page that needs none. Raises
    NoTemplates."""
    jinja2, charts = needed()
    safe: Any = jinja2.utils.markupsafe.Markup
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda value: value if isinstance(value, safe) else _shown(value),
        loader=jinja2.FunctionLoader(_template),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        kind=lambda section: type(section).__name__,
        size=human.size,
        spelled=human.spelled,
        percent=human.percent,
        cells=cells,
        by_kind=by_kind,
        items=items,
        tables_last=lambda sections: sorted(sections, key=lambda one: isinstance(one, Table)),
        left_out=left_out,
        worst=worst,
    )
    styles, script = _template("page.css"), _template("page.js")
    # What has to reach the page unescaped: scripts, styles and JSON, none of which a template made.
    sources = {
        "styles": safe(styles),
        "script": safe(script),
        "charts": safe(_in_script(charts)),
        "data": safe(in_script(data)),
    }
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(charts)} {_hash(script)}" if data is not None else "script-src 'none'",
            f"style-src {_hash(styles)} {_hash('')}",  # plotly.js fills in an empty one
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    unused = _UNUSED_STYLE.findall(charts)
    text = environment.get_template("page.html").render(
        **facts, **sources, whole=data is not None, policy=policy, unused=unused
    )
    return str(text).encode("utf-8")


def _template(name: str) -> str:
    return (resources.files("gomap.pages") / "templates" / name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """What a template prints: text of the program with all characters escaped that can't be seen, as in a terminal."""
    return human.visible_lines(value) if isinstance(value, str) else value


def _hash(text: str) -> str:
    """The source expression of a Content-Security-Policy that allows the script or style of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"


def _in_script(source: str) -> str:
    """JavaScript that can stand in a script element. Raises NoTemplates."""
    if re.search(r"</script|<!--", source, re.IGNORECASE):
        raise NoTemplates("plotly.js of the installed plotly can't be part of a page: install another version of it")
    return source


def in_script(value: Any) -> str:
    """JSON that can stand in a script element, whatever it says."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# -- what templates ask ------------------------------------------------------------------------------


def cells(section: Heat) -> list[float]:
    """The cells of a strip, no more than MAX_CELLS."""
    per = -(-len(section.cells) // MAX_CELLS)
    if per <= 1:
        return list(section.cells)
    parts = [section.cells[i : i + per] for i in range(0, len(section.cells), per)]
    return [sum(part) / len(part) for part in parts]


def items(sections: Sequence[Section]) -> list[tuple[str, list[Section]]]:
    """Sections by the line that stands over them, which is "" before the first."""
    found: list[tuple[str, list[Section]]] = [("", [])]
    for section in sections:
        if isinstance(section, Lines) and section.apart and section.rows:
            found.append((section.rows[0], []))
            if len(section.rows) > 1:
                found[-1][1].append(Lines(section.rows[1:], apart=False))
        else:
            found[-1][1].append(section)
    return [one for one in found if one[0] or one[1]]


def by_kind(anomalies: Sequence[Anomaly]) -> list[tuple[str, str, Sequence[Anomaly], int]]:
    """(severity, code, the first of the anomalies, how many more there are), the worst first."""
    found: dict[tuple[str, str], list[Anomaly]] = {}
    for one in sorted(dict.fromkeys(anomalies), key=lambda one: _WORST_FIRST.index(one.severity)):
        found.setdefault((one.severity, one.code), []).append(one)
    return [(*key, these[:ALIKE], len(these[ALIKE:])) for key, these in found.items()]


def worst(anomalies: Sequence[Anomaly]) -> str:
    """The worst severity, "" of none."""
    return min((one.severity for one in anomalies), key=_WORST_FIRST.index, default="")
