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
    np = numpy()
    return PLAIN if np is None else _with(np)


def counting() -> PlainColumns:
    """With numpy if something has asked for it already."""
    np = numpy_if_loaded()
    return PLAIN if np is None else _with(np)


def arrays() -> NumpyColumns:
    """With numpy, for callers that already hold numpy arrays."""
    found = columns()
    assert isinstance(found, NumpyColumns)
    return found


@lru_cache(maxsize=1)
def _with(np: ModuleType) -> NumpyColumns:
    return NumpyColumns(np)
