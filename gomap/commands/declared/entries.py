"""hmap-entries: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, FULL, RAW, Arg, Command, condition, natural, pattern, sorting

COMMAND = Command(
    name="hmap-entries",
    summary="search, filter and sort a map's entries; print them as text, JSON or CSV",
    about="""
Searches a map as grep and sort search a file; a million entries take seconds.

PATTERN is a regular expression. It is matched against keys and values as they are shown; for strings, against
their contents.

CONDITION is FIELD OP VALUE. FIELD is key, value, a field of the value (Age, Owner.Name; pointers are followed), a
field of the key (key.Host), or len(FIELD). OP is == != < <= > >=, or ~ and !~, which match a regular expression.
VALUE is a number, a string, true, false, nil, a duration (1m30s) or a time (2026-11-29); in quotes it is always a
string. An entry must satisfy every --where.

A *time.Time is compared as a time. An atomic.Int64, a sql.NullInt64 and the value in an interface are compared as
numbers if they are numbers, otherwise by their text.

ORDER is key, value, size or a FIELD: the smallest come first. Size is the value's own bytes plus those of its
strings, slices and maps; there the largest come first. Values without an order (nil, NaN) come last. --sort lists at
most the first 131,072 in this order, whatever --limit or --csv say.

Ctrl-C ends the search and shows the entries found so far. If --csv output is incomplete, an error follows it.
""",
    args=(
        Arg("EXPR", EXPR_HELP),
        Arg("--match", "only entries whose key or value matches this regular expression", "PATTERN", pattern),
        Arg(
            "--where",
            "only entries that satisfy FIELD OP VALUE, such as Age > 30; may be repeated",
            "CONDITION",
            condition,
            many=True,
        ),
        Arg("--sort", "sort by key, value, size or a field", "ORDER", sorting),
        Arg("--reverse", "reverse the order"),
        Arg(
            "--limit",
            "show at most N entries (default 50; with --csv all; 0 shows all); -n N is the same",
            "N",
            natural,
        ),
        FULL,
        RAW,
        Arg("--keys", "print only the keys"),
        Arg("--csv", "print comma-separated values, with a column for each field of a struct"),
    ),
    examples=(
        ("hmap-entries m", "the first 50 entries"),
        ("hmap-entries users --where Age > 30 --sort Age", "those with Age over 30, by age"),
        ("hmap-entries cache --where key ~ ^user: --keys", "only the keys with this prefix"),
        ("hmap-entries cache --sort size -n 10", "the ten largest values"),
        ("hmap-entries cache --csv", "all entries, for a spreadsheet"),
    ),
    session="Entries that match",
)
