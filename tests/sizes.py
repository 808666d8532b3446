#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the limits of CONTRIBUTING.md: functions up to 80 lines, files up to 600, median at most 15."""
import re
import statistics
import subprocess
import sys

FUNCTION_MAX, FILE_MAX, MEDIAN_MAX = 80, 600, 15
root = sys.argv[1]
files = subprocess.run(["git", "-C", root, "ls-files", "*.c", "*.h"], capture_output=True, text=True,
                       check=True).stdout.split()
lengths, bad = [], 0
for name in files:
    lines = open(f"{root}/{name}", encoding="utf-8").read().split("\n")
    if len(lines) > FILE_MAX:
        print(f"{name}: {len(lines)} lines")
        bad += 1
    start = None
    for i, line in enumerate(lines):
        # clang-format puts the braces of a function's body into the first column.
        if line == "{" and i and not re.match(r"^(enum|struct|union)\b[^()]*$", lines[i - 1]):
            start = i
        elif line == "}" and start is not None:
            lengths.append(i - start - 1)
            if lengths[-1] > FUNCTION_MAX:
                print(f"{name}:{start + 1}: a function of {lengths[-1]} lines")
                bad += 1
            start = None
median = statistics.median(lengths)
print(f"{len(files)} files, {len(lengths)} functions, median {median} lines, "
      f"90th percentile {sorted(lengths)[len(lengths) * 9 // 10]}")
if median > MEDIAN_MAX:
    print(f"the median is over {MEDIAN_MAX}")
    bad += 1
sys.exit(1 if bad else 0)
