"""Profiles that `go tool pprof` reads: the messages of pprof's proto/profile.proto, written by Google's protobuf.

The library makes the messages from the tables here, so that no generated code is needed.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gomap.errors import GomapError
from gomap.heap.objects import DOCTOR, python

#: Fields of each message: name, number and type; * is repeated. Texts are numbers of rows in string_table.
_MESSAGES = {
    "ValueType": (("type", 1, "int64"), ("unit", 2, "int64")),
    "Sample": (("location_id", 1, "uint64*"), ("value", 2, "int64*")),
    "Line": (("function_id", 1, "uint64"), ("line", 2, "int64")),
    "Location": (("id", 1, "uint64"), ("line", 4, "Line*")),
    "Function": (("id", 1, "uint64"), ("name", 2, "int64"), ("system_name", 3, "int64"), ("filename", 4, "int64")),
    "Profile": (
        ("sample_type", 1, "ValueType*"),
        ("sample", 2, "Sample*"),
        ("location", 4, "Location*"),
        ("function", 5, "Function*"),
        ("string_table", 6, "string*"),
        ("time_nanos", 9, "int64"),
        ("comment", 13, "int64*"),
        ("default_sample_type", 14, "int64"),
    ),
}


class NoProtobuf(GomapError):
    """Google's protobuf is not installed in the Python that runs this."""

    code = "no-protobuf"


class Frame(NamedTuple):
    """One entry of a stack. file, line: where its source is, "" and 0 for what has none."""

    name: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Profile:
    """samples: the values of each stack, its root first; values: name and unit of each of them. shown: which of them
    pprof shows unless told otherwise. taken: seconds since 1970, 0 for unknown."""

    values: Sequence[tuple[str, str]]
    shown: str
    samples: Mapping[tuple[Frame, ...], Sequence[int]]
    comments: Sequence[str] = ()
    taken: float = 0


def needed() -> Any:
    """Makes an empty Profile message. Raises NoProtobuf."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except Exception:  # what a library that does not fit this Python raises may be any of them
        raise NoProtobuf(f"this needs protobuf, and {python()} has none: {DOCTOR}") from None
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package="perftools.profiles", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, tag, kind in fields:
            made = message.field.add(name=field_name, number=tag)
            made.label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            if kind in _MESSAGES:
                made.type, made.type_name = field.TYPE_MESSAGE, f".perftools.profiles.{kind}"
            else:
                made.type = getattr(field, f"TYPE_{kind.upper()}")
    pool: Any = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))()


def encode(profile: Profile) -> bytes:
    """The profile as a file has it. Raises NoProtobuf."""
    out = needed()
    texts: dict[str, int] = {"": 0}

    def text(of: str) -> int:
        return texts.setdefault(of, len(texts))

    for name, unit in profile.values:
        out.sample_type.add(type=text(name), unit=text(unit))
    places: dict[Frame, int] = {}
    for stack, values in profile.samples.items():
        numbers = []
        for frame in reversed(stack):  # the leaf comes first
            number = places.get(frame)
            if number is None:
                number = places[frame] = len(places) + 1
                called = text(frame.name)
                out.function.add(id=number, name=called, system_name=called, filename=text(frame.file))
                out.location.add(id=number).line.add(function_id=number, line=frame.line)
            numbers.append(number)
        out.sample.add(location_id=numbers, value=values)
    out.comment.extend(text(comment) for comment in profile.comments)
    out.default_sample_type = text(profile.shown)
    out.time_nanos = int(profile.taken * 1e9)
    out.string_table.extend(texts)
    return gzip.compress(out.SerializeToString(), mtime=0)
