"""Colour for terminals: plain escape codes for our own words, pygments for Go values."""

from __future__ import annotations

from typing import Any

_CODES = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "cyan": "36"}
#: 256-colour backgrounds from empty to full: blue, green, yellow, red.
_HEAT = (238, 24, 30, 35, 71, 107, 143, 179, 173, 167)


class Paint:
    """Puts colour on text, or leaves it alone."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._go: Any = None

    def __call__(self, style: str, text: str) -> str:
        """The text in a style (a key of _CODES); unchanged where colour is off."""
        return f"\033[{_CODES[style]}m{text}\033[0m" if self.on and text else text

    def heat(self, fraction: float, text: str) -> str:
        """The text in a colour for a fraction, 0..1; unchanged where colour is off."""
        if not self.on:
            return text
        color = _HEAT[min(int(fraction * len(_HEAT)), len(_HEAT) - 1)]
        return f"\033[38;5;{color}m{text}\033[0m"

    def code(self, text: str) -> str:
        """A Go value or type, highlighted where pygments can be imported."""
        if not self.on:
            return text
        if self._go is None:
            self._go = _highlighter()
        return self._go(text) if self._go else text


def _highlighter() -> Any:
    try:
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import GoLexer
    except ImportError:
        return False
    lexer, formatter = GoLexer(stripnl=False, ensurenl=False), TerminalFormatter()
    return lambda text: highlight(text, lexer, formatter)
