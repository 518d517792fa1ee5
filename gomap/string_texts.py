"""Strings by the thousand: what headers of strings lead to, read together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from operator import and_, rshift

from gomap.errors import MemoryFault
from gomap.memory import joined
from gomap.reads import views
from gomap.target import Target

#: After so many strings the blocks of memory that others lie in are read as a whole, and kept: 64 MiB at most.
MANY, BLOCK_BITS, MAX_BLOCKS = 4096, 16, 1024


@dataclass
class StringTexts:
    """Strings of one target. limit: bytes of one that are read. `cut` becomes True when one is longer."""

    target: Target
    limit: int
    cut: bool = False
    #: Memory that strings lie in, by address >> BLOCK_BITS: a character for each byte. Lost: they were too many.
    _blocks: dict[int, str] = field(default_factory=dict)
    _blocks_lost: bool = False
    _asked: int = 0  # strings, so far

    def of(self, pointers: Sequence[int], lengths: Sequence[int]) -> Sequence[str | None]:
        """The strings with these headers as far as they are shown, None where they can't be read."""
        limit, negative = self.limit, 1 << 8 * self.target.arch.pointer_size - 1
        if max(lengths, default=0) > limit:
            self.cut = self.cut or any(limit < length < negative for length in lengths)
            if max(lengths) >= negative:
                return self._near(pointers, lengths)
            lengths = [min(length, limit) for length in lengths]
        self._asked += len(pointers)
        found = self._in_blocks(pointers, lengths) if self._asked > MANY else None
        if found is not None:
            return found
        whole = joined(self.target.memory, pointers, lengths)
        if whole is None:
            return self._near(pointers, lengths)
        ends = accumulate(lengths)
        held = bytes(whole)
        if held.isascii():
            text = held.decode()
            return [text[end - length : end] for length, end in zip(lengths, ends)]
        return [held[end - length : end].decode("utf-8", "surrogateescape") for length, end in zip(lengths, ends)]

    def _in_blocks(self, pointers: Sequence[int], lengths: Sequence[int]) -> list[str] | None:
        """What of gives, cut out of whole blocks of memory, as long as they are few. None if they are too many, or one
        can't be read."""
        if not all(lengths):
            some = next((pointer for pointer, length in zip(pointers, lengths) if length), None)
            if some is None:
                return [""] * len(pointers)
            pointers = [pointer if length else some for pointer, length in zip(pointers, lengths)]
        blocks, read = self._blocks, self.target.memory.read
        numbers = list(map(rshift, pointers, repeat(BLOCK_BITS)))
        missing = set(numbers) - blocks.keys()
        if self._blocks_lost or len(blocks) + len(missing) > MAX_BLOCKS:
            self._blocks_lost = True
            blocks.clear()
            return None
        for number in sorted(missing):
            try:  # with the rest of a string that begins in it
                data = read(number << BLOCK_BITS, (1 << BLOCK_BITS) + self.limit)
            except MemoryFault:
                return None
            blocks[number] = data.decode("latin-1")
        starts = map(and_, pointers, repeat((1 << BLOCK_BITS) - 1))
        found = [blocks[number][start : start + length] for number, start, length in zip(numbers, starts, lengths)]
        if "".join(found).isascii():
            return found
        return [text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape") for text in found]

    def _near(self, pointers: Sequence[int], lengths: Sequence[int]) -> list[str | None]:
        """What of gives; strings that lie near each other are read together."""
        limit, negative = self.limit, 1 << 8 * self.target.arch.pointer_size - 1
        found: list[str | None] = [""] * len(pointers)
        places = []
        for i, (pointer, length) in enumerate(zip(pointers, lengths)):
            if length >= negative:
                found[i] = None
            elif length:
                places.append((pointer, length if length <= limit else limit, i))
        places.sort()
        each = views(self.target.memory, [at for at, _, _ in places], [length for _, length, _ in places])
        for (_, _, i), data in zip(places, each):
            found[i] = None if isinstance(data, MemoryFault) else str(data, "utf-8", "surrogateescape")
        return found
