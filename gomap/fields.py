"""Fields of a struct by name, promoted ones too: the Go specification, selectors."""

from __future__ import annotations

from gomap.gotypes import Field, GoType, Kind

MAX_EMBEDDED = 8


def find_field(t: GoType, name: str) -> list[Field] | None:
    """The field, or the shortest way to it through embedded structs, as Go promotes fields."""
    level: list[tuple[GoType, list[Field]]] = [(t, [])]
    for _ in range(MAX_EMBEDDED):
        deeper = []
        for struct, path in level:
            found = struct.field(name)
            if found is not None:
                return [*path, found]
            for field in struct.fields:
                inner = field.type.elem if field.type.kind is Kind.POINTER else field.type
                if inner.kind is Kind.STRUCT and _is_embedded(field, inner):
                    deeper.append((inner, [*path, field]))
        level = deeper
    return None


def promoted(t: GoType) -> list[str]:
    """Names of the struct's fields and of those of embedded structs, the outermost first."""
    names: dict[str, None] = {}
    level = [t]
    for _ in range(MAX_EMBEDDED):
        deeper = []
        for struct in level:
            for field in struct.fields:
                names.setdefault(field.name)
                inner = field.type.elem if field.type.kind is Kind.POINTER else field.type
                if inner.kind is Kind.STRUCT and _is_embedded(field, inner):
                    deeper.append(inner)
        level = deeper
    return list(names)


def _is_embedded(field: Field, inner: GoType) -> bool:
    """Debug information does not always say which fields are embedded: their name is their type's."""
    return field.embedded or field.name == inner.name.partition("[")[0].rsplit(".", 1)[-1]
