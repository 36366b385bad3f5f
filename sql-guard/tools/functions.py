#!/usr/bin/env python3
"""Makes src/functions.tsv: which of PostgreSQL's own functions a statement may call, for the versions 14 to 18 together.

    sql-guard/tools/functions.py SHARED_TABLE DUMP... > sql-guard/src/functions.tsv

Each dump is what builtins.sql beside this file prints, in a file named by the major version: 14.tsv … 18.tsv. They say which
functions there are and how many arguments each takes. What may be called is decided by, in this order:

  1. reviewed.tsv beside this file: decisions made by hand, each with its reason. Types are `*` for every overload.
  2. the shared table of PostgreSQL 15's functions.
  3. the rules of `ruled`, for what other versions have.

A function that none of them decides stops the run, and so does a row of reviewed.tsv that changes nothing.

One line per name, decision and class: name, the numbers of arguments as `least-most` ranges (`least-` takes any number from
there on), decision, class.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

SHARED_VERSION = "15"


class Verdict(NamedTuple):
    decision: str
    kind: str


class Function(NamedTuple):
    """One overload. Versions that agree on all of this have the same one."""

    name: str
    types: str
    least: int
    most: int | None
    returns: str


def tab_separated(path):
    with open(path, encoding="utf-8", newline="") as file:
        yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def dumped(path):
    """The functions of one version, each with its arguments as the shared table spells them."""
    for name, arguments, types, least, most, _kind, _volatility, returns in tab_separated(path):
        yield Function(name, types, int(least), None if most == r"\N" else int(most), returns), arguments


def shared(path, functions):
    """The shared table's verdicts by name and types; its spelling of the arguments is that of its version's dump."""
    types = {(function.name, arguments): function.types for function, arguments in functions}
    rows = tab_separated(path)
    next(rows)
    return {(name, types[name, arguments]): Verdict(*verdict) for name, arguments, _, _, _, _, *verdict, _, _ in rows}


def reviewed(path):
    """The decisions made by hand, by name and types. A row may name several functions that share a reason."""
    rows = tab_separated(path)
    next(rows)
    verdicts = {}
    for names, types, decision, kind, _reason in rows:
        for name in names.split():
            if (name, types) in verdicts:
                sys.exit(f"{path}: {name} ({types}) is decided twice")
            verdicts[name, types] = Verdict(decision, kind)
    return verdicts


def ruled(function, siblings):
    """The verdict on a function that the shared table doesn't have, given those on other overloads of its name."""
    signature = f"{function.types}, {function.returns}"
    if any(word in signature for word in ("internal", "cstring", "trigger", "_handler")):
        return Verdict("deny", "internal")
    # Another overload of a refused function does what its siblings do.
    if len(siblings) == 1 and (sibling := next(iter(siblings))).decision != "allow":
        return sibling
    return None


def ranges(arities):
    """How many arguments may be given, as ranges; those that touch are one."""
    merged = []
    for least, most in sorted(arities, key=lambda arity: (arity[0], arity[1] or sys.maxsize)):
        if merged and (merged[-1][1] is None or least <= merged[-1][1] + 1):
            ends = merged[-1][1], most
            merged[-1][1] = None if None in ends else max(ends)
        else:
            merged.append([least, most])
    return ",".join(f"{least}-{'' if most is None else most}" for least, most in merged)


def main():
    shared_table, *dumps = map(Path, sys.argv[1:])
    versions = {path.stem: list(dumped(path)) for path in dumps}
    functions = {function for listed in versions.values() for function, _ in listed}
    base = shared(shared_table, versions[SHARED_VERSION])
    by_hand = reviewed(Path(__file__).with_name("reviewed.tsv"))
    siblings = defaultdict(set)
    for (name, _), verdict in base.items():
        siblings[name].add(verdict)

    verdicts, unused, undecided = {}, set(by_hand), []
    for function in sorted(functions, key=str):
        exactly, whole_name = (function.name, function.types), (function.name, "*")
        found = base.get(exactly) or ruled(function, siblings[function.name])
        for key in (whole_name, exactly):
            if key in by_hand and by_hand[key] != found:
                found = by_hand[key]
                unused.discard(key)
        verdicts[function] = found
        if found is None:
            undecided.append(f"{function.name}({function.types})")
    if undecided:
        sys.exit("no decision on these functions; add them to reviewed.tsv:\n  " + "\n  ".join(undecided))
    if unused:
        sys.exit(f"these rows of reviewed.tsv change nothing: {sorted(unused)}")

    lines = defaultdict(set)
    for function, verdict in verdicts.items():
        lines[function.name, *verdict].add((function.least, function.most))
    print("name\targuments\tdecision\tclass")
    for (name, *verdict), arities in sorted(lines.items()):
        print(name, ranges(arities), *verdict, sep="\t")

    for version, listed in sorted(versions.items()):
        counts = defaultdict(int)
        for function, _ in listed:
            counts[verdicts[function].decision] += 1
        print(f"PostgreSQL {version}:", *(f"{counts[it]} {it}" for it in sorted(counts)), file=sys.stderr)


main()
