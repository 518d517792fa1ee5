"""sync.Map of both generations in synthetic memory: what is counted is what was laid down, and no corrupt one hurts."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomap import syncmap
from gomap.commands.sync import _trie_facts
from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.runtime.malloc import allocator
from gomap.gotypes import GoType, Kind, Lazy
from gomap.recorded import ImageTarget
from gomap.syncmap.facts import SyncMap, Trie
from gomap.target import Arch, Variable
from tests.support.space import AMD64, ARCHES, Space, array_of, basic, pointer, struct, target
from tests.support.synthetic import ClassicPlan, classic_type
from tests.support.synthetic_classic import build_classic

LIVE, DELETED, EXPUNGED = "live", "deleted", "expunged"
#: How read leads to readOnly and an entry to its value, and how the mutex lies, from generation to generation.
SHAPES = ("1.19", "1.23", "1.25")


@pytest.fixture(autouse=True)
def quickly() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 20


def interface(word: int) -> GoType:
    return GoType(Kind.INTERFACE, "interface {}", 2 * word)


def unsafe_pointer(word: int) -> GoType:
    return GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)


def atomic(t: GoType, word: int, lazy: Lazy | None = None) -> GoType:
    """sync/atomic.Pointer[T]."""
    to = GoType(Kind.POINTER, f"*{t.name}", word, lazy_elem=lazy) if lazy is not None else pointer(t, word)
    empty = struct("sync/atomic.noCopy", word, [])
    fields = [("_", array_of(0, to)), ("_", empty), ("v", unsafe_pointer(word))]
    return struct(f"sync/atomic.Pointer[{t.name}]", word, fields)


def mutex(word: int, nested: bool) -> GoType:
    inner = struct("internal/sync.Mutex", word, [("state", basic("int32")), ("sema", basic("uint32"))])
    return struct("sync.Mutex", word, [("mu", inner)]) if nested else inner


# -- read and dirty --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """read: (state, whether dirty has it too); only_dirty: states. has_dirty: the dirty map is there."""

    read: list[tuple[str, bool]]
    only_dirty: list[str]
    has_dirty: bool
    misses: int = 0
    amended: bool = True
    locked: bool = False


@dataclass
class Laid:
    fake: ImageTarget
    variable: Variable
    values: dict[int, int] = field(default_factory=dict)  # entry -> where its value lies

    def look(self) -> SyncMap:
        shape = syncmap.detect(self.fake, self.variable.type)
        assert shape is not None
        return syncmap.look(self.fake, shape, self.variable, allocator(self.fake))


def lay(plan: Plan, shape: str, arch: Arch = AMD64, knows_expunged: bool = True) -> Laid:
    fake, space = target(arch)
    word = arch.pointer_size
    any_ = interface(word)
    entry = struct("sync.entry", word, [("p", unsafe_pointer(word) if shape == "1.19" else atomic(any_, word))])
    map_t = classic_type(any_, pointer(entry, word), word)
    readonly = struct("sync.readOnly", word, [("m", map_t), ("amended", basic("bool"))])
    value = struct("sync/atomic.Value", word, [("v", any_)])
    t = struct(
        "sync.Map",
        word,
        [
            ("mu", mutex(word, shape == "1.25")),
            ("read", value if shape == "1.19" else atomic(readonly, word)),
            ("dirty", map_t),
            ("misses", basic("int", word)),
        ],
    )
    fake.types["sync.readOnly"] = readonly
    expunged = space.alloc(2 * word)
    if knows_expunged:
        fake.symbols["sync.expunged"] = space.put(space.word(expunged))
    laid = Laid(fake, Variable("m", t))

    def make(state: str) -> int:
        at = {LIVE: 0, DELETED: 0, EXPUNGED: expunged}[state] or (space.alloc(2 * word) if state == LIVE else 0)
        made = space.put(space.word(at))
        if state == LIVE:
            laid.values[made] = at
        return made

    def a_map(entries: list[int]) -> int:
        chains = [
            [[9] * min(8, len(entries) - i) + [0] * max(0, 8 - len(entries) + i)] for i in range(0, len(entries), 8)
        ]
        B = max(len(chains) - 1, 0).bit_length()
        chains += [[[0] * 8] for _ in range((1 << B) - len(chains))]
        built = build_classic(fake, ClassicPlan(B, chains), any_, pointer(entry, word))
        for placed, address in zip(built.entries, entries):
            space.write(placed.elem_address, space.word(address))
        return built.address

    in_read = [make(state) for state, _ in plan.read]
    in_dirty = [made for made, (_, both) in zip(in_read, plan.read) if both] + [make(s) for s in plan.only_dirty]
    raw = bytearray(readonly.size)
    raw[0:word] = space.word(a_map(in_read) if in_read else 0)
    raw[word] = plan.amended
    read_only = space.put(bytes(raw))
    fields = {f.name: f for f in t.fields}
    data = bytearray(t.size)
    data[0:4] = space.uint(int(plan.locked), 4)
    read_at = fields["read"].offset + (word if shape == "1.19" else 0)
    data[read_at : read_at + word] = space.word(read_only)
    dirty_at, misses_at = fields["dirty"].offset, fields["misses"].offset
    data[dirty_at : dirty_at + word] = space.word(a_map(in_dirty) if plan.has_dirty else 0)
    data[misses_at : misses_at + word] = space.word(plan.misses)
    laid.variable = Variable("m", t, space.put(bytes(data)))
    return laid


@st.composite
def sane_plans(draw: st.DrawFn) -> Plan:
    """States that sync/map.go comes to: expunged entries are not in dirty, all others of read are."""
    has_dirty = draw(st.booleans())
    states = [LIVE, DELETED, EXPUNGED] if has_dirty else [LIVE, DELETED]
    read = [(state, has_dirty and state != EXPUNGED) for state in draw(st.lists(st.sampled_from(states), max_size=40))]
    only = draw(st.lists(st.just(LIVE), min_size=1, max_size=40)) if has_dirty else []
    return Plan(read, only, has_dirty, draw(st.integers(0, 3)), amended=has_dirty, locked=draw(st.booleans()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
@settings(max_examples=8)
@given(plan=sane_plans())
def test_read_and_dirty(shape: str, arch: Arch, plan: Plan) -> None:
    laid = lay(plan, shape, arch)
    found = laid.look()
    old = found.read_dirty
    assert old is not None
    live = [state for state, _ in plan.read].count(LIVE) + plan.only_dirty.count(LIVE)
    assert (found.generation, found.count, found.locked) == ("read-dirty", live, plan.locked)
    assert found.anomalies == []
    for state in (LIVE, DELETED, EXPUNGED):
        assert getattr(old.read, state) == [s for s, _ in plan.read].count(state)
        both = [s for s, both in plan.read if both].count(state)
        assert getattr(old.dirty, state) == both + plan.only_dirty.count(state)
    assert old.dirty.own == plan.only_dirty.count(LIVE)
    assert (old.amended, old.misses) == (plan.amended, plan.misses)
    in_dirty = sum(both for _, both in plan.read) + len(plan.only_dirty)
    assert old.misses_left == (max(in_dirty - plan.misses, 1) if plan.amended else None)
    listed = list(syncmap.entries(laid.fake, laid.variable))
    assert sorted(one.value_address for one in listed) == sorted(laid.values.values())
    assert {one.value_type.kind for one in listed} <= {Kind.INTERFACE}
    assert sum(one.where == "dirty" for one in listed) == old.dirty.own


BROKEN = {
    "bad-amended": [
        Plan([(LIVE, False)], [], False, amended=True),
        Plan([(LIVE, True)], [LIVE], True, amended=False),
    ],
    "expunged-in-dirty": [Plan([(LIVE, True), (EXPUNGED, True)], [LIVE], True)],
    "missing-in-dirty": [Plan([(LIVE, False), (LIVE, True)], [LIVE], True)],
}


@pytest.mark.parametrize(("code", "plan"), [(code, plan) for code, plans in BROKEN.items() for plan in plans])
def test_what_sync_map_never_leaves_behind(code: str, plan: Plan) -> None:
    (told,) = lay(plan, "1.23").look().anomalies
    assert (told.code, told.severity) == (code, "warning")
    locked = Plan(plan.read, plan.only_dirty, plan.has_dirty, amended=plan.amended, locked=True)
    (told,) = lay(locked, "1.23").look().anomalies
    assert (told.code, told.severity) == (code, "note")


def test_after_clear_an_empty_dirty_map_is_all_right() -> None:
    found = lay(Plan([], [], True, amended=False), "1.23").look()
    assert (found.count, found.anomalies) == (0, [])


def test_without_expunged_it_says_so() -> None:
    found = lay(Plan([(LIVE, True), (EXPUNGED, False)], [LIVE], True), "1.23", knows_expunged=False).look()
    assert "no-expunged" in {one.code for one in found.anomalies}


# -- the trie --------------------------------------------------------------------------------------------

ANY = "[interface {},interface {}]"
SHAPED = "[go.shape.interface {},go.shape.interface {}]"


@dataclass
class Node:
    children: dict[int, Node | list[int]] = field(default_factory=dict)


def grow(node: Node, key: int, hash_: int, shift: int, hashes: dict[int, int]) -> None:
    """As HashTrieMap.Store and expand: where two keys part, a node more; where they don't, a chain."""
    at = hash_ >> shift & 15
    there = node.children.get(at)
    if there is None:
        node.children[at] = [key]
    elif isinstance(there, Node):
        grow(there, key, hash_, shift - 4, hashes)
    elif hashes[there[0]] == hash_:
        there.append(key)
    else:
        inner = node.children[at] = Node()
        grow(inner, there[0], hashes[there[0]], shift - 4, hashes)
        for other in there[1:]:
            grow(inner, other, hashes[other], shift - 4, hashes)
        grow(inner, key, hash_, shift - 4, hashes)


@dataclass
class LaidTrie(Laid):
    root: Node = field(default_factory=Node)
    nodes: list[tuple[int, Node]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    indirect: GoType | None = None
    entry: GoType | None = None
    depth: int = 0


def lay_trie(hashes: dict[int, int], arch: Arch = AMD64, wrapped: bool = True, empty: bool = False) -> LaidTrie:
    fake, space = target(arch)
    word = arch.pointer_size
    any_ = interface(word)
    shaped = GoType(Kind.INTERFACE, "go.shape.interface {}", 2 * word)
    node_t = struct(f"internal/sync.node{ANY}", word, [("isEntry", basic("bool"))])
    itself: list[GoType] = []
    indirect = struct(
        f"internal/sync.indirect{ANY}",
        word,
        [
            ("node", node_t),
            ("dead", basic("bool")),
            ("mu", mutex(word, False)),
            ("parent", GoType(Kind.POINTER, "*indirect", word, lazy_elem=Lazy(lambda: itself[0]))),
            ("children", array_of(16, atomic(node_t, word))),
        ],
    )
    itself.append(indirect)
    entry = struct(
        f"internal/sync.entry{SHAPED}",
        word,
        [("node", node_t), ("overflow", atomic(node_t, word)), ("key", shaped), ("value", shaped)],
    )
    trie = struct(
        f"internal/sync.HashTrieMap{ANY}",
        word,
        [
            ("inited", basic("uint32")),
            ("initMu", mutex(word, False)),
            ("root", atomic(indirect, word)),
            ("keyHash", GoType(Kind.FUNC, "internal/sync.hashFunc", word)),
            ("valEqual", GoType(Kind.FUNC, "internal/sync.equalFunc", word)),
            ("seed", basic("uintptr", word)),
        ],
    )
    t = struct("sync.Map", word, [("_", struct("sync.noCopy", word, [])), ("m", trie)]) if wrapped else trie
    fake.types[entry.name], fake.types["interface {}"] = entry, any_
    laid = LaidTrie(fake, Variable("m", t), indirect=indirect, entry=entry)
    for key, hash_ in hashes.items():
        grow(laid.root, key, hash_, 8 * word - 4, hashes)

    def put_chain(keys: list[int]) -> int:
        after, made = 0, []
        for _ in reversed(keys):
            data = bytearray(entry.size)
            data[0] = 1
            overflow, value = entry.field("overflow"), entry.field("value")
            assert overflow is not None and value is not None
            data[overflow.offset : overflow.offset + word] = space.word(after)
            after = space.put(bytes(data))
            made.append(after)
            laid.values[after] = after + value.offset
        laid.chains.append(made[::-1])
        return after

    def put(node: Node, parent: int, depth: int) -> int:
        laid.depth = max(laid.depth, depth)
        address = space.alloc(indirect.size)
        data = bytearray(indirect.size)
        above, children = indirect.field("parent"), indirect.field("children")
        assert above is not None and children is not None
        data[above.offset : above.offset + word] = space.word(parent)
        for i, child in node.children.items():
            to = put(child, address, depth + 1) if isinstance(child, Node) else put_chain(child)
            data[children.offset + i * word : children.offset + (i + 1) * word] = space.word(to)
        space.write(address, bytes(data))
        laid.nodes.append((address, node))
        return address

    root = 0 if empty else put(laid.root, 0, 1)
    data = bytearray(t.size)
    at = next(f.offset for f in trie.fields if f.name == "root")
    data[at : at + word] = space.word(root)
    data[t.size - word :] = space.word(12345)
    laid.variable = Variable("m", t, space.put(bytes(data)))
    return laid


@pytest.mark.parametrize("arch", ARCHES, ids=lambda arch: arch.name)
@settings(max_examples=20)
@given(
    hashes=st.lists(
        st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(0, 3).map(lambda n: n << 28)), max_size=60
    ),
    wrapped=st.booleans(),
)
def test_trie(arch: Arch, hashes: list[int], wrapped: bool) -> None:
    laid = lay_trie(dict(enumerate(hashes)), arch, wrapped)
    found = laid.look()
    trie = found.trie
    assert trie is not None
    assert found.anomalies == []
    assert (found.generation, found.count, trie.entries) == ("hash-trie", len(hashes), len(hashes))
    assert (trie.nodes, trie.depth, trie.seed) == (len(laid.nodes), laid.depth, 12345)
    lengths = [len(chain) for chain in laid.chains]
    assert trie.chains == sum(length > 1 for length in lengths)
    assert trie.overflow == sum(length - 1 for length in lengths)
    assert trie.longest == max(lengths, default=0)
    listed = list(syncmap.entries(laid.fake, laid.variable))
    assert sorted(one.value_address for one in listed) == sorted(laid.values.values())
    assert {one.key_type.name for one in listed} <= {"interface {}"}


def test_a_trie_that_nobody_used() -> None:
    found = lay_trie({}, empty=True).look()
    assert found.trie is not None
    assert (found.count, found.bytes.allocated, found.trie.root, found.anomalies) == (0, 0, None, [])


def test_a_program_without_the_entries_type() -> None:
    laid = lay_trie({1: 1})
    laid.fake.types.clear()
    with pytest.raises(NoDebugInfo):
        laid.look()


def many() -> LaidTrie:
    numbers = random.Random(7)
    hashes = {i: numbers.getrandbits(64) for i in range(300)}
    return lay_trie({**hashes, 1000: hashes[0], 1001: hashes[0]})


def spoil(laid: LaidTrie, address: int, data: bytes) -> set[str]:
    laid.fake.memory.write(address, data)
    found = laid.look()
    list(syncmap.entries(laid.fake, laid.variable))
    return {one.code for one in found.anomalies}


def test_a_trie_that_leads_back_into_itself() -> None:
    laid = many()
    root, children = laid.nodes[-1][0], laid.indirect.field("children") if laid.indirect else None
    assert children is not None
    assert "trie-cycle" in spoil(laid, laid.nodes[0][0] + children.offset, laid.fake.memory.word(root))


def test_a_chain_that_leads_back_into_itself() -> None:
    laid = many()
    chain = next(chain for chain in laid.chains if len(chain) == 3)
    assert "trie-cycle" in spoil(laid, chain[2] + 8, laid.fake.memory.word(chain[1]))


def test_nodes_that_are_none() -> None:
    laid = many()
    assert spoil(laid, laid.nodes[0][0], b"\7") == {"bad-node"}
    assert spoil(laid, laid.nodes[0][0], b"\0") == set()
    parent = laid.indirect.field("parent") if laid.indirect else None
    assert parent is not None
    assert spoil(laid, laid.nodes[0][0] + parent.offset, bytes(8)) == {"bad-parent"}


def test_memory_that_is_not_there() -> None:
    laid = many()
    children = laid.indirect.field("children") if laid.indirect else None
    assert children is not None
    root = laid.nodes[-1][0]
    assert spoil(laid, root + children.offset, laid.fake.memory.word(0x10)) == {"unreadable"}
    assert 200 < laid.look().count < 302
    laid.fake.memory.holes.append((root, 8))
    found = laid.look()
    assert (found.count, {one.code for one in found.anomalies}) == (0, {"unreadable"})


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), generation=st.sampled_from(["trie", *SHAPES]))
def test_garbage(seed: int, generation: str) -> None:
    """Bytes changed at random: an answer or an error of ours, soon."""
    numbers = random.Random(seed)
    plan = Plan([(LIVE, True)] * 20 + [(EXPUNGED, False)] * 5, [LIVE] * 9, True, 3)
    laid: Laid = many() if generation == "trie" else lay(plan, generation)
    space: Space = laid.fake.memory
    for _ in range(numbers.choice([1, 3, 30])):
        at = numbers.randrange(len(space.data))
        space.data[at] = numbers.choice([0, 1, 0xFF, numbers.getrandbits(8)])
    if numbers.random() < 0.5:  # pointers that lead somewhere
        at = numbers.randrange(0, len(space.data) - 8, 8)
        to = space.base + numbers.randrange(0, len(space.data), 8)
        space.data[at : at + 8] = space.word(to)
    try:
        laid.look()
        list(syncmap.entries(laid.fake, laid.variable))
    except GomapError:
        pass


# -- what is none ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("m", basic("int"))],
        [("mu", basic("int")), ("read", basic("int")), ("dirty", basic("int")), ("misses", basic("int"))],
        [("inited", basic("int")), ("root", basic("int")), ("keyHash", basic("int")), ("seed", basic("int"))],
        [("m", struct("x", 8, [("inited", basic("int"))]))],
    ],
)
def test_other_structs_are_none(fields: list[tuple[str, GoType]]) -> None:
    fake, _ = target(AMD64)
    t = struct("main.T", 8, fields)
    assert syncmap.detect(fake, t) is None
    assert list(syncmap.entries(fake, Variable("x", t, 0x1000))) == []
    assert syncmap.detect(fake, basic("int")) is None


def test_chains_are_told_with_their_first_entries() -> None:
    facts = dict(_trie_facts(Trie(0x1000, 2, 2, 20, 4, 16, 5)))
    assert facts["overflow"] == "4 chains of keys with equal hashes, 20 entries in all, longest 5"
    assert facts["nodes"] == "2, each with room for 16 children; root 0x1000"
    one = dict(_trie_facts(Trie(0x1000, 1, 1, 3, 1, 2, 3)))
    assert one["overflow"] == "1 chain of keys with equal hashes, 3 entries in all"
    assert one["nodes"] == "1 with room for 16 children; root 0x1000"
