"""Pages of hmap-report, read as a browser reads them, without one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

#: All elements that the templates have.
ELEMENTS = frozenset(
    "html head meta title style body template a header h1 span p nav main section h2 dl div dt dd small ul li code "
    "button table caption thead tbody tr th td form label input select option noscript details summary h3 pre svg rect "
    "figure figcaption progress footer script time".split()
)
#: All attributes but those of data-.
ATTRIBUTES = frozenset(
    "lang charset http-equiv content name id class href type role hidden scope open tabindex width height viewbox x rx "
    "preserveaspectratio fill-opacity value max placeholder autocomplete spellcheck".split()
)


@dataclass
class Page(HTMLParser):
    """texts: by element, all text that is in such elements. odd: elements and attributes that no template has."""

    texts: dict[str, str] = field(default_factory=dict)
    odd: set[str] = field(default_factory=set)
    scripts: list[str] = field(default_factory=list)
    policy: str = ""
    links: set[str] = field(default_factory=set)
    _inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in ELEMENTS:
            self.odd.add(tag)
        self.odd |= {n for n in named if n not in ATTRIBUTES and not n.startswith(("data-", "aria-"))}
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""
        if tag == "a":
            self.links.add(named.get("href") or "")
        if tag == "script":
            self.scripts.append("")
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.scripts[-1] += data
        for one in {*self._inside, ""} - {"script", "style"} if inside not in ("script", "style") else ():
            self.texts[one] = self.texts.get(one, "") + data

    @property
    def data(self) -> Any:
        """What the page's own script is given."""
        return json.loads(self.scripts[0])


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def rows(page: Page) -> dict[str, dict[str, Any]]:
    """The table of all maps, by address."""
    maps = page.data["maps"]
    texts, numbered = maps["texts"], ("type", "package", "owner", "place")
    found = {}
    for i, address in enumerate(maps["address"]):
        row = {name: maps[name][i] for name in ("path", "held", "waste", "count", "load", "std")}
        found[f"0x{address}"] = {**row, **{name: texts[maps[name][i]] for name in numbered}}
    return found
