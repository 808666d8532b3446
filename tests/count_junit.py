#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints "PASSED FAILED" of a JUnit file; skipped tests are failures where CI is set, but measurements."""
import os
import sys
import xml.etree.ElementTree as ET

try:
    suites = ET.parse(sys.argv[1]).getroot().iter("testsuite")
except (OSError, ET.ParseError):
    print("0 1")
    sys.exit()
passed = failed = 0
for s in suites:
    total, bad, skipped = (int(s.get(k, 0)) for k in ("tests", "failures", "skipped"))
    bad += int(s.get("errors", 0))
    measurements = sum("a measurement" in (k.get("message") or "") for k in s.iter("skipped"))
    total, skipped = total - measurements, skipped - measurements
    passed += total - bad - skipped
    failed += bad + (skipped if os.environ.get("CI") else 0)
print(passed, failed)
