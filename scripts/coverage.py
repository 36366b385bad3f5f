"""Prints the line coverage of each crate from the JSON summary of cargo-llvm-cov, tests and the demo left out."""

import json
import sys
from collections import defaultdict
from pathlib import Path

GOAL = 80

root = Path(__file__).resolve().parent.parent
crates = defaultdict(lambda: [0, 0])
for file in json.loads(Path(sys.argv[1]).read_text())["data"][0]["files"]:
    path = Path(file["filename"]).relative_to(root)
    is_product = path.parts[1] == "src" and path.parts[0] not in ("tests", "benches") and "tests" not in path.stem
    if is_product and "tests" not in path.parts:
        crates[path.parts[0]][0] += file["summary"]["lines"]["covered"]
        crates[path.parts[0]][1] += file["summary"]["lines"]["count"]

print(f"\n{'crate':<18}{'lines':>8}{'reached':>9}   goal: {GOAL} %")
for crate, (reached, lines) in sorted(crates.items()):
    print(f"{crate:<18}{lines:>8}{100 * reached / lines:>7.1f} %")
reached, lines = (sum(column) for column in zip(*crates.values()))
print(f"{'all':<18}{lines:>8}{100 * reached / lines:>7.1f} %")
