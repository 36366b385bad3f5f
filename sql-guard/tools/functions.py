#!/usr/bin/env python3
"""Makes src/functions.tsv from the shared table of PostgreSQL's built-in functions.

    sql-guard/tools/functions.py ../shared/data/guard/functions.tsv > sql-guard/src/functions.tsv

One line per name, decision and class: name, the numbers of arguments as `min-max` ranges (`min-` takes any number from min),
decision, class. Facts only: names, numbers of arguments, verdicts.
"""

import re
import sys
from collections import defaultdict

# The shared table leaves out default values; these functions (one overload each) have as many arguments that a call may omit.
DEFAULTED = {
    "is_normalized": 1, "json_populate_record": 1, "json_populate_recordset": 1, "jsonb_insert": 1, "jsonb_path_exists": 2,
    "jsonb_path_exists_tz": 2, "jsonb_path_match": 2, "jsonb_path_match_tz": 2, "jsonb_path_query": 2,
    "jsonb_path_query_array": 2, "jsonb_path_query_array_tz": 2, "jsonb_path_query_first": 2, "jsonb_path_query_first_tz": 2,
    "jsonb_path_query_tz": 2, "jsonb_set": 1, "jsonb_set_lax": 2, "make_interval": 7, "normalize": 1, "parse_ident": 1,
    "pg_backup_start": 1, "pg_backup_stop": 1, "pg_create_logical_replication_slot": 2,
    "pg_create_physical_replication_slot": 2, "pg_logical_slot_get_binary_changes": 1, "pg_logical_slot_get_changes": 1,
    "pg_logical_slot_peek_binary_changes": 1, "pg_logical_slot_peek_changes": 1, "pg_promote": 2, "pg_terminate_backend": 1,
}

# Verdicts of the shared table that were wrong, with the reason.
CORRECTED = {
    "satisfies_hash_partition": ("deny", "introspection"),  # reads the partition bounds of any relation, by its number
    "postgresql_fdw_validator": ("deny", "internal"),  # a validator; never useful in a query
    "hash_aclitem": ("metadata", "introspection"),  # a literal becomes an aclitem, which looks roles up
    "hash_aclitem_extended": ("metadata", "introspection"),  # as hash_aclitem
    "pg_typeof": ("metadata", "names-type"),  # a literal beside its regtype becomes one, which looks types up
    "shell_out": ("deny", "type-io"),
    "pg_collation_for": ("allow", "stable"),  # speaks of its argument alone
    "pg_column_size": ("allow", "stable"),  # speaks of its argument alone
    "pg_column_compression": ("allow", "stable"),  # speaks of its argument alone
    "pg_wal_lsn_diff": ("allow", "pure"),  # subtracts its arguments
}

# Harmless functions that PostgreSQL 16 to 18 added; the shared table was taken from 15.
ADDED = [
    ("any_value", "1-1", "aggregate"), ("array_sample", "2-2", "pure"), ("array_shuffle", "1-1", "pure"),
    ("date_add", "2-3", "stable"), ("date_subtract", "2-3", "stable"), ("erf", "1-1", "pure"), ("erfc", "1-1", "pure"),
    ("random_normal", "0-2", "volatile-harmless"), ("array_reverse", "1-1", "pure"), ("array_sort", "1-3", "pure"),
    ("casefold", "1-1", "pure"), ("crc32", "1-1", "pure"), ("crc32c", "1-1", "pure"), ("gamma", "1-1", "pure"),
    ("lgamma", "1-1", "pure"), ("json_strip_nulls", "2-2", "pure"), ("jsonb_strip_nulls", "2-2", "pure"),
    ("random", "2-2", "volatile-harmless"), ("timezone", "1-1", "stable"), ("to_bin", "1-1", "pure"),
    ("to_oct", "1-1", "pure"), ("unicode_assigned", "1-1", "pure"), ("unicode_version", "0-0", "pure"),
    ("icu_unicode_version", "0-0", "pure"), ("uuid_extract_timestamp", "1-1", "pure"),
    ("uuid_extract_version", "1-1", "pure"), ("uuidv4", "0-0", "volatile-harmless"), ("uuidv7", "0-1", "volatile-harmless"),
    ("xmltext", "1-1", "pure"),
]


def split(arguments):
    """The arguments of a signature; commas inside parentheses don't separate."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(arguments):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(arguments[start:at])
            start = at + 1
    return [part.strip() for part in parts + [arguments[start:]] if part.strip()]


def arity(name, arguments):
    """How few and how many arguments a call may give; None is any number."""
    # An ordered-set aggregate's signature has its direct arguments before ORDER BY and the sorted ones after.
    inputs = [part for part in split(re.sub(r"\s*\bORDER BY\b\s*", ", ", arguments)) if not part.startswith("OUT ")]
    variadic = any(part.startswith("VARIADIC ") for part in inputs)
    fixed = [part for part in inputs if not part.startswith("VARIADIC ")]
    least = len(fixed) - DEFAULTED.get(name, 0)
    return least, None if variadic else len(fixed)


def main():
    table = defaultdict(set)
    rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1], encoding="utf-8")][1:]
    for name, arguments, _, _, _, _, decision, kind, *_ in rows:
        decision, kind = CORRECTED.get(name, (decision, kind))
        table[name, decision, kind].add(arity(name, arguments))
    lines = []
    for (name, decision, kind), arities in table.items():
        ranges = ",".join(f"{least}-{'' if upper is None else upper}" for least, upper in sorted(arities, key=str))
        lines.append((name, ranges, decision, kind))
    for name, ranges, kind in ADDED:
        lines.append((name, ranges, "allow", kind))
    print("name\targuments\tdecision\tclass")
    for line in sorted(lines):
        print(*line, sep="\t")


main()
