# `compare.py OTHER OURS`: two folders with pytest's reports of the same suites. Prints a table of how each suite ended
# upon each broker, and every test that ended differently; exit 1 where a test passed upon the other broker and not
# upon ours.

import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def outcomes(path):
    """The name of each test in a report, and how it ended."""
    found = {}
    for case in xml.parse(path).iter("testcase") if path.exists() else ():
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[f"{case.get('classname')}.{case.get('name')}"] = bad[0] if bad else "passed"
    return found


def summary(found):
    counts = {}
    for outcome in found.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return (
        ", ".join(f"{counts[name]} {name}" for name in sorted(counts, key=lambda name: (name != "passed", name)))
        or "no report"
    )


def main(other, ours):
    broken = False
    lines = []
    print(f"\n| suite | {other.name} | {ours.name} | differences |\n|---|---|---|---|")
    for suite in sorted({path.stem for folder in (other, ours) for path in folder.glob("*.xml")}):
        theirs, mine = outcomes(other / f"{suite}.xml"), outcomes(ours / f"{suite}.xml")
        different = sorted(name for name in theirs | mine if theirs.get(name) != mine.get(name))
        broken |= not mine or any(
            mine.get(name) != "passed" and theirs.get(name) in ("passed", None) for name in different
        )
        print(f"| {suite} | {summary(theirs)} | {summary(mine)} | {len(different)} |")
        lines += [
            f"{suite}: {name}: {theirs.get(name, 'not run')} upon {other.name}, {mine.get(name, 'not run')} upon {ours.name}"
            for name in different
        ]
    print("\n" + ("\n".join(lines) or "No test ended differently."))
    return broken


sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
