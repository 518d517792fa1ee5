"""The list of sentences that gomap prints is current, so that a review sees what changes."""

from __future__ import annotations

from tools import messages


def test_list_is_current() -> None:
    """Else: python3 -m tools.messages"""
    assert messages.LIST.read_text("utf-8") == messages.messages()


def test_what_counts_as_a_sentence() -> None:
    source = '''
"""A docstring of this module."""
def f(x):
    """Says what f does."""
    g("the map is corrupt", "key", f"the map of {x} is nil", "two words")
'''
    assert set(messages.texts(source)) == {"the map is corrupt", "the map of {} is nil"}
