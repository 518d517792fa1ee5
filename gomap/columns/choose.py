"""With numpy or without: the only place that chooses."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

from gomap.arrays import numpy, numpy_if_loaded
from gomap.columns.plain import PlainColumns
from gomap.columns.with_numpy import NumpyColumns

PLAIN = PlainColumns()


def columns() -> PlainColumns:
    """With numpy, if this Python has it: for work that is worth its import."""
    return _of(numpy())


def counting() -> PlainColumns:
    """With numpy if something has asked for it already."""
    return _of(numpy_if_loaded())


def arrays() -> NumpyColumns:
    """What made the arrays that are there."""
    found = columns()
    assert isinstance(found, NumpyColumns)
    return found


@lru_cache(maxsize=1)
def _with(np: ModuleType) -> NumpyColumns:
    return NumpyColumns(np)


def _of(np: ModuleType | None) -> PlainColumns:
    return PLAIN if np is None else _with(np)
