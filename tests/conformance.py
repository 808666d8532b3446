#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/conformance.md: each requirement of the specification and the tests that prove it.

The list of requirements is tests/conformance.tsv: ID, level, title, and, for one without a test, why
there is none. Which test proves what is read from the tests: IDs in their names, docstrings and comments, such as
ISO-45, or ISO-50 to ISO-57.

    conformance.py [--check]

--check writes nothing: status 1 when the page is out of date, a test names an ID that is not on the list, or
a requirement has neither a test nor an explanation.
"""
import ast
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "tests/conformance.tsv"
PAGE = ROOT / "docs/conformance.md"
AREAS = {"GEN": "General", "TYPE": "Types", "IMG": "Images", "APP": "Apps", "DEP": "Dependencies",
         "RENDER": "Root file systems", "DISC": "Discovery", "SIG": "Signatures", "AUTH": "Authentication",
         "POD": "Pods", "ENV": "Environment", "ISO": "Isolators", "VOL": "Volumes", "NET": "Network", "LOG": "Logs",
         "MDS": "Metadata service", "OS": "Operating system", "VAL": "The specification's validator"}
NAME = "|".join(AREAS)
SINGLE = re.compile(rf"\b({NAME})-(\d\d)\b")
RANGE = re.compile(rf"\b({NAME})-(\d\d) to (?:({NAME})-)?(\d\d)\b")
IN_NAME = re.compile(rf"_({NAME})_(\d\d)(?!\d)", re.I)
C_FUNCTION = re.compile(r"^static void (\w+)\((?:void \*\*\w+)\)$", re.M)


def ids(text):
    """The IDs that a text names; ranges count for all between."""
    text = re.sub(r"\n\s*(?:\*|//|#)?\s*", " ", text)
    found = {f"{a}-{n}" for a, n in SINGLE.findall(text)}
    for area, first, other, last in RANGE.findall(text):
        if other in ("", area):
            found |= {f"{area}-{n:02}" for n in range(int(first), int(last) + 1)}
    return found | {f"{a.upper()}-{n}" for a, n in IN_NAME.findall(text)}


def python_tests(path):
    """(name, text) of each test function, and what the module says of itself."""
    text = path.read_text()
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node.name, ast.get_source_segment(text, node)
    yield "", ast.get_docstring(tree) or ""


def c_tests(path):
    """(name, text) of each test function with the comment above it, and the comment of the file."""
    text = path.read_text()
    starts = []
    for m in C_FUNCTION.finditer(text):
        above = text[:m.start()].rstrip("\n")
        at = m.start()
        if above.endswith("*/"):
            at = above.rindex("/*")
        starts.append((at, m.group(1)))
    ends = [at for at, _ in starts[1:]] + [len(text)]
    for (at, name), end in zip(starts, ends):
        yield name, text[at:end]
    yield "", text[:starts[0][0]] if starts else text


def proofs():
    """{ID: [where, ...]}."""
    found = collections.defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix not in (".py", ".c") or path == pathlib.Path(__file__).resolve():
            continue
        for name, text in python_tests(path) if path.suffix == ".py" else c_tests(path):
            where = str(path.relative_to(ROOT / "tests")) + (f": {name}" if name else "")
            for i in ids(f"{name}\n{text}"):
                found[i].append(where)
    return found


def requirements():
    rows = []
    for line in LIST.read_text().splitlines():
        if line and not line.startswith("#"):
            rows.append((line.split("\t") + ["", "", ""])[:4])
    return rows


def table(area, rows, found):
    out = [f"## {AREAS[area]}", "", "| ID | level | requirement | proof |", "| --- | --- | --- | --- |"]
    for i, level, title, note in rows:
        tests = found.get(i, [])
        shown = ", ".join(f"`{t}`" for t in tests[:4]) + (f" and {len(tests) - 4} more" if len(tests) > 4 else "")
        out.append(f"| {i} | {level} | {title} | {shown or note or '**none**'} |")
    return out + [""]


def page(rows, found):
    tested = sum(r[0] in found for r in rows)
    explained = sum(r[0] not in found and bool(r[3]) for r in rows)
    out = ["# Conformance with the App Container specification 0.8.11", "",
           "Made by `tests/conformance.py` from the markers in the tests; `tests/conformance.tsv` is the list. Levels: "
           "those of the text; `MUST*` and `SHOULD*` where it says so in lower-case words; `MUST†` where only the "
           "reference code asks for it; `LAX†` where that is more lenient than the text; `INFO` where nothing is asked.",
           "", f"{len(rows)} requirements: {tested} with tests, {explained} explained, "
               f"{len(rows) - tested - explained} open.", ""]
    for area in AREAS:
        out += table(area, [r for r in rows if r[0].split("-")[0] == area], found)
    return "\n".join(out)


def main(args):
    rows, found = requirements(), proofs()
    known = {r[0] for r in rows}
    text = page(rows, found)
    problems = [f"{i} is not on the list ({found[i][0]})" for i in sorted(found) if i not in known]
    problems += [f"{r[0]} has neither a test nor an explanation" for r in rows if r[0] not in found and not r[3]]
    if args == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != text:
            problems.append("docs/conformance.md is out of date: run tests/conformance.py")
    elif args:
        sys.exit(__doc__)
    else:
        PAGE.write_text(text)
    for p in problems:
        print("conformance.py:", p, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
