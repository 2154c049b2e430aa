#!/usr/bin/python3
"""Runs the test programs that Meson lists and counts their test cases.

Ends with a line "N passed, N failed". A program that crashes, hangs or reports nothing counts as one failure more.
A doctest program is counted by test case, any other program as one test by its exit status.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time

SUMMARY = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
COLOR = re.compile(r"\x1b\[[0-9;]*m")


def listed_tests(build_dir):
    out = subprocess.run(["meson", "introspect", "--tests", build_dir], check=True, capture_output=True)
    return json.loads(out.stdout)


def is_doctest(program):
    with open(program, "rb") as file:
        return b"[doctest] " in file.read()


def run(test, filter_text, slowness):
    """Returns (passed, failed)."""
    command = list(test["cmd"])
    doctest = is_doctest(command[0])
    if doctest:
        command += ["--no-version=true", "--no-intro=true", "--no-colors=true"]
        if filter_text:
            command.append("--test-case=*" + filter_text.replace(",", "\\,") + "*")
    elif filter_text and filter_text not in test["name"]:
        return 0, 0
    # Meson's own limit (30 s unless the test says otherwise) is for one test; a program holds hundreds.
    limit = max(test.get("timeout") or 0, 600) * slowness
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=test.get("workdir") or None, env={**os.environ, **test.get("env", {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        raw, _ = process.communicate(timeout=limit)
        verdict = f"exit status {process.returncode}"
        if process.returncode < 0:
            verdict = f"ended by {signal.Signals(-process.returncode).name}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raw, _ = process.communicate()
        verdict = f"still running after {limit} s"
    output = COLOR.sub("", raw.decode("utf-8", "replace"))
    passed, failed = 0, 0
    summaries = SUMMARY.findall(output)
    if doctest and summaries:
        passed, failed = int(summaries[-1][1]), int(summaries[-1][2])
    elif not doctest and process.returncode == 0:
        passed = 1
    if process.returncode != 0 and failed == 0:
        failed = 1
    if doctest and not summaries and failed == 0:
        failed, verdict = 1, "no summary"
    if failed:
        sys.stdout.write(output)
    print(f"{'FAIL' if failed else 'PASS'} {test['name']}: {passed} passed, {failed} failed,"
          f" {time.monotonic() - began:.1f} s" + (f" ({verdict})" if failed else ""), flush=True)
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build-dir", required=True)
    parser.add_argument("--filter", default="")
    parser.add_argument("--slowness", type=float, default=1)
    arguments = parser.parse_args()
    totals = [run(test, arguments.filter, arguments.slowness) for test in listed_tests(arguments.build_dir)]
    print(f"{sum(t[0] for t in totals)} passed, {sum(t[1] for t in totals)} failed", flush=True)


if __name__ == "__main__":
    main()
