"""What the fields of answers are made of: how JSON writes each, and what docs/json.md says of it.

A field is `name: Annotated[type, "its meaning"]`. Annotations are read at run time, and so are not postponed here.
"""

import re
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import cache
from typing import Annotated, Any, Callable, Optional, TypeVar, Union, get_args, get_origin


@dataclass(frozen=True)
class Form:
    """How a value is written. name: as docs/json.md calls it."""

    name: str


@dataclass(frozen=True)
class Encoded:
    """A JSON array that is written already. parts: some of its elements each, parted by commas."""

    parts: list[str]


class Unasked(Enum):
    """The value of a field that is only there with the option that asks for it."""

    UNASKED = "unasked"


class _Flat(Enum):
    FLAT = "flat"


UNASKED = Unasked.UNASKED
_T = TypeVar("_T")

Address = Annotated[int, Form("address")]
Hash = Annotated[int, Form("hash")]
Fraction = Annotated[float, Form("fraction")]
Signed = Annotated[int, Form("signed")]
Change = Annotated[float, Form("change")]
Histogram = Annotated[list[int], Form("histogram")]
#: One of the strings that the field's meaning has in `backticks`.
Word = Annotated[str, Form("word")]
#: A Go value: values.py.
GoScalar = Annotated[Union[str, int, float, bool], Form("scalar")]
Asked = Union[_T, Unasked]
#: The fields of the class are fields of the object that has it. Of a mapping too, Annotated with the class.
Flat = Annotated[_T, _Flat.FLAT]
#: A list that may be very long: of `data` itself, not of a part of it.
Listing = Union[list[_T], Encoded]

_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", object: "object"}


@dataclass(frozen=True)
class FieldType:
    """The type of a field. form: as docs/json.md calls it, `object` and `list` where it has parts.

    part: of the elements of a list, or of the values of an object whose names are not fixed. object: the class of the
    fields of an object. listing: it may be very long.
    """

    form: str
    nullable: bool = False
    part: Optional["FieldType"] = None
    object: Optional[type] = None
    listing: bool = False


@dataclass(frozen=True)
class ResultField:
    """A field of a result class. name: in JSON. attribute: in Python. flat: JSON has the fields of its class in its
    place. asked: it is present only with the option that asks for it."""

    name: str
    attribute: str
    type: FieldType
    meaning: str
    flat: bool = False
    asked: bool = False

    @property
    def words(self) -> list[str]:
        """The words that the field's meaning has in backquotes: the values that it can have."""
        return re.findall(r"`([^`]+)`", self.meaning)


@cache
def fields_of(result: Any) -> tuple[ResultField, ...]:
    """The fields of a class of results."""
    names = getattr(result, "_fields", None) or [one.name for one in fields(result)]
    return tuple(_field(name, result.__annotations__[name]) for name in names)


def is_result(value: object) -> bool:
    """Whether it is of a class of results: a dataclass, or a named tuple where there may be very many."""
    return hasattr(value, "_fields") or hasattr(value, "__dataclass_fields__")


def alike(result: Callable[..., _T], source: object, **more: Any) -> _T:
    """The result of that class. What more does not give are the source's attributes of the same names."""
    names = [one.attribute for one in fields_of(result) if one.attribute not in more and not one.asked]
    return result(**{name: getattr(source, name) for name in names}, **more)


def _field(name: str, annotation: Any) -> ResultField:
    marks = _marks(annotation)
    asked = Unasked in get_args(get_args(annotation)[0]) if marks else False
    meaning = "".join(one for one in marks if isinstance(one, str))
    return ResultField(name.rstrip("_"), name, _type(annotation), meaning, _Flat.FLAT in marks, asked)


def _marks(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def _type(annotation: Any) -> FieldType:
    form = next((one for one in _marks(annotation) if isinstance(one, Form)), None)
    if form is not None:
        return FieldType(form.name)
    described = next((one for one in _marks(annotation) if isinstance(one, type)), None)
    if described is not None:
        return FieldType("object", object=described)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(args[0])
    if origin is Union:
        inner = next(one for one in args if one not in (type(None), Unasked, Encoded))
        return replace(_type(inner), nullable=type(None) in args, listing=Encoded in args)
    if origin is list:
        return FieldType("list", part=_type(args[0]))
    if origin is dict:
        return FieldType("object", part=_type(args[1]))
    if annotation in _PLAIN:
        return FieldType(_PLAIN[annotation])
    return FieldType("object", object=annotation)
