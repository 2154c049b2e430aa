#!/usr/bin/python3
"""Runs the simulation for tests/run: kept seeds, then others until the time is over, on every core.

  run.py --binary cairn_sim [--seconds S] [--base N]   N: the first of the others; by default drawn from the clock

tests/sim/seeds.txt keeps seeds that once found something, each with what it was. A failure prints the line that
reproduces it. Ends with a line "N passed, N failed".
"""
import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
FAR = 10**9  # between the seeds that two cores begin with
KEPT_FIXED = 60  # seeds 1 to this are run each time, so that a change that breaks something is seen with a known seed


def kept_seeds():
    with open(os.path.join(HERE, "seeds.txt"), encoding="utf-8") as file:
        return [int(found[1]) for line in file if (found := re.match(r"(\d+)\b", line))]


def run(name, *arguments):
    """One test case: nothing is wrong in any of these seeds."""
    began = time.monotonic()
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    print(re.sub(r"(?m)^", "    ", ended.stdout + ended.stderr).rstrip())
    good = ended.returncode == 0
    print(f"{'PASS' if good else 'FAIL'} simulation: {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--base", type=int, default=int(time.time()) * 1000)
    options = parser.parse_args()
    seeds = kept_seeds()
    results = [run(f"seeds 1 to {KEPT_FIXED}", options.binary, "--runs", str(KEPT_FIXED), "--base", "1")]
    results += [run(f"seed {seed}, which found something once", options.binary, "--seed", str(seed)) for seed in seeds]
    with ThreadPoolExecutor() as pool:
        results += pool.map(lambda base: run(f"seeds from {base}", options.binary, "--seconds", str(options.seconds),
                                             "--base", str(base)),
                            [options.base + core * FAR for core in range(os.cpu_count() or 1)])
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
