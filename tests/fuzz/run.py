#!/usr/bin/python3
"""Builds the fuzz targets and runs each of them for a while, for tests/run.

  run.py --build-dir DIR [--seconds S] [--filter PATTERN]

S is for all of them together. They begin with seeds from the program's own encoders and with what earlier runs on this
build directory found interesting (DIR/fuzz/TARGET/corpus). Bytes that break something are kept beside that, and the line
that reproduces it is printed. Ends with a line "N passed, N failed".
"""
import argparse
import glob
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
INPUT_SECONDS = 20  # for one input
ALLOCATION_MIB = 256  # at once; the largest input is a thousandth of it
MEMORY_MIB = 1024


def names(build_dir, pattern):
    """The targets that tests/fuzz/meson.build names and this build directory knows."""
    listed = subprocess.run(["ninja", "-C", build_dir, "-t", "targets", "all"], capture_output=True, text=True, check=True)
    found = re.findall(r"(?m)^tests/fuzz/(\w+_fuzz): ", listed.stdout)
    return sorted(name for name in found if pattern in name)


def build(build_dir, targets):
    paths = [f"tests/fuzz/{target}" for target in targets]
    jobs = os.environ.get("JOBS") or str(os.cpu_count() or 1)
    done = subprocess.run(["ninja", "-C", build_dir, "-j", jobs, *paths], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        failed = done.stdout[max(done.stdout.find("FAILED:"), 0):]
        print("\n".join(failed.splitlines()[:60]))
    return done.returncode == 0


class Run:
    """One target, running."""

    def __init__(self, build_dir, target, seconds):
        self.target = target
        self.program = os.path.join(build_dir, "tests", "fuzz", target)
        self.directory = os.path.join(build_dir, "fuzz", target)
        self.began = time.time()
        corpus, seeds = (os.path.join(self.directory, part) for part in ("corpus", "seeds"))
        for path in (corpus, seeds):
            os.makedirs(path, exist_ok=True)
        environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=8:malloc_context_size=10"}
        subprocess.run([self.program, "--write-seeds", seeds], env=environment, check=True)
        dictionary = os.path.join(HERE, target.replace("_fuzz", ".dict"))
        self.command = [
            self.program, corpus, seeds, f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS}",
            f"-malloc_limit_mb={ALLOCATION_MIB}", f"-rss_limit_mb={MEMORY_MIB}", "-print_final_stats=1",
            f"-artifact_prefix={self.directory}/", *([f"-dict={dictionary}"] if os.path.exists(dictionary) else [])]
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)

    def finish(self):
        status = self.process.wait()
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            log = file.read()
        seconds = time.time() - self.began
        inputs = re.findall(r"stat::number_of_executed_units: (\d+)", log)
        covered = re.findall(r" cov: (\d+) ", log)
        good = status == 0 and bool(inputs) and int(inputs[-1]) > 0
        print(f"{'PASS' if good else 'FAIL'} fuzz: {self.target}: {inputs[-1] if inputs else 'no'} inputs,"
              f" {covered[-1] if covered else 'no'} edges, {seconds:.0f} s", flush=True)
        if not good:
            print("    " + "\n    ".join(line[:300] for line in log.splitlines()[-60:]))
            kept = [path for path in glob.glob(self.directory + "/*-*")
                    if os.path.isfile(path) and os.path.getmtime(path) >= self.began - 1]
            for path in kept:
                print(f"    again: {self.program} {path}")
        return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", required=True)
    parser.add_argument("--seconds", type=int, default=75)
    parser.add_argument("--filter", default="")
    options = parser.parse_args()
    build_dir = os.path.abspath(options.build_dir)
    targets = names(build_dir, options.filter)
    if not targets:
        print("fuzz: nothing to run: the compiler is not Clang, or the build has a sanitizer of its own")
        print("0 passed, 0 failed")
        return 0
    if not build(build_dir, targets):
        print("FAIL fuzz: the targets can't be built")
        print("0 passed, 1 failed")
        return 1
    at_once = max(1, min(len(targets), os.cpu_count() or 1))
    each = max(5, options.seconds * at_once // len(targets))
    waiting, running, results = list(targets), [], []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(Run(build_dir, waiting.pop(0), each))
        results.append(running.pop(0).finish())
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
