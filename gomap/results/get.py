"""hmap-get."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, GoScalar, Hash


@dataclass(frozen=True)
class LookupStep:
    """What the lookup met at one place."""

    bucket: Annotated[int, "number of the main bucket, or of the group in its table"]
    slot: Annotated[Optional[int], "the slot whose tophash (H2) is the key's, or at which the search ends"]
    old: Annotated[bool, "whether that is in the old array"]
    matched: Annotated[bool, "whether this is the entry"]
    why: Annotated[str, "what was there, in words"]
    table: Annotated[Optional[int], "index of the table; null for classic and small maps"]
    overflow: Annotated[int, "how far down the chain; of a Swiss table, how many groups were probed before"]
    address: Annotated[Address, "of the bucket"]


@dataclass(frozen=True)
class GetResult:
    """A key's lookup."""

    expr: Annotated[str, "the map's expression as it was given"]
    key: Annotated[GoScalar, "the key that was looked up"]
    found: Annotated[bool, "whether it is there"]
    value: Annotated[Optional[GoScalar], "its elem; null when it is not there"]
    hash: Annotated[Optional[Hash], "the key's hash; null where the hash function is not known, and for a nil map"]
    address: Annotated[Optional[Address], "of the elem"]
    walked: Annotated[bool, "whether all entries were looked at instead of following the hash"]
    path: Annotated[list[LookupStep], "what the lookup met, in order"]
    key_text: Annotated[
        Optional[str], "the key as people see it ([values.md](values.md)); null where its type has no text of its own"
    ]
    value_text: Annotated[Optional[str], "the elem as people see it; null too where the key is not there"]
