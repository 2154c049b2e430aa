#!/usr/bin/python3
"""Runs the cluster tests: every function test_… in the files test_*.py beside this one.

A test asks for what it needs by the names of its parameters:
  cluster       three running nodes, shared by the tests of one file (made anew after a failure)
  make_cluster  a function (size=3, options=(), start=True) that makes a cluster of the test's own
  directory     an empty directory
  name          a name for values that no other test uses
  transport     each transport of streams: the test runs once for each
What the nodes do in them has to be what their OpenAPI document says (contract.py).
A file that says MOSTLY_WAITS = True measures nothing that others in its way could spoil: all of those run first, beside
each other. Ends with a line "N passed, N failed".
"""
import argparse
import atexit
import glob
import importlib
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cluster as harness  # noqa: E402  pylint: disable=wrong-import-position
import contract  # noqa: E402  pylint: disable=wrong-import-position
from client import TRANSPORTS  # noqa: E402  pylint: disable=wrong-import-position

DEADLINE_SECONDS = 60


class DeadlineExceeded(BaseException):
    """Not an Exception, so that no test catches it by accident."""


def on_alarm(_signal, _frame):
    raise DeadlineExceeded()


class Fixtures:
    """What one file's tests are given, and its end."""

    def __init__(self):
        self.shared = None
        self.own = []
        self.directories = []

    def give(self, test, transport):
        makers = {"cluster": self.cluster, "make_cluster": lambda: self.make_cluster,
                  "directory": self.directory, "transport": lambda: transport,
                  "name": lambda: f"{test.__name__}-{transport}" if transport else test.__name__}
        return {p: makers[p]() for p in inspect.signature(test).parameters}

    def cluster(self):
        if self.shared is None:
            self.shared = harness.Cluster()
            self.shared.start()
        return self.shared

    def make_cluster(self, size=3, options=(), start=True):
        made = harness.Cluster(size, options)
        self.own.append(made)
        return made.start() if start else made

    def directory(self):
        self.directories.append(tempfile.mkdtemp(prefix="cairn-test-"))
        return self.directories[-1]

    def show_logs(self):
        for used in self.own + ([self.shared] if self.shared else []):
            for node in used.nodes:
                print(f"    --- log of node {node.id}, HTTP port {node.http_port}"
                      f" ({'running' if node.running else 'not running'})")
                print("    " + node.log_tail().replace("\n", "\n    "))

    def end_test(self, passed):
        ending, self.own = self.own, []
        if self.shared is not None and not passed:
            ending.append(self.shared)
            self.shared = None
        try:
            stop_all(ending)
        finally:
            for directory in self.directories:
                shutil.rmtree(directory, ignore_errors=True)
            self.directories = []

    def end_file(self):
        ending, self.shared = ([self.shared] if self.shared else []), None
        stop_all(ending)


def stop_all(clusters):
    """Stops every one of them, then raises the first error."""
    errors = []
    for one in clusters:
        try:
            one.stop()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def on_terminate(_signal, _frame):
    sys.exit("ended by a signal")


def variants(test, label):
    if "transport" not in inspect.signature(test).parameters:
        return [(label, None)]
    return [(f"{label}[{transport}]", transport) for transport in TRANSPORTS]


def run_test(test, transport, label, fixtures):
    limit = getattr(test, "deadline_seconds", DEADLINE_SECONDS) * harness.slowness
    began = time.monotonic()
    problem = None
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        test(**fixtures.give(test, transport))
    except DeadlineExceeded:
        problem = traceback.format_exc() + f"not done after {limit:.0f} s\n"
    except Exception:  # pylint: disable=broad-except
        problem = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    contradictions = contract.take_contradictions()
    if contradictions and not problem:
        problem = "not what the OpenAPI document says:\n" + "\n".join(contradictions[:5])
    if problem:
        print("    " + problem.rstrip().replace("\n", "\n    "))
        fixtures.show_logs()
    try:
        fixtures.end_test(passed=problem is None)
    except AssertionError as error:
        problem = str(error)
        print(problem)
    print(f"{'FAIL' if problem else 'PASS'} {label} ({time.monotonic() - began:.2f} s)", flush=True)
    return problem is None


def test_files():
    here = os.path.dirname(os.path.abspath(__file__))
    return [os.path.basename(path)[:-3] for path in sorted(glob.glob(os.path.join(here, "test_*.py")))]


def mostly_waits(file_name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{file_name}.py"), encoding="utf-8") as file:
        return "\nMOSTLY_WAITS = True\n" in file.read()


def wanted_tests(file_name, pattern):
    module = importlib.import_module(file_name)
    return [(label, test, transport) for name, test in vars(module).items()
            if name.startswith("test_") and inspect.isfunction(test)
            for label, transport in variants(test, f"{file_name}::{name}") if pattern in label]


def run_file(file_name, pattern):
    """(passed, failed)"""
    passed = failed = 0
    fixtures = Fixtures()
    atexit.register(fixtures.end_test, passed=False)  # does nothing but after a signal
    for label, test, transport in wanted_tests(file_name, pattern):
        if run_test(test, transport, label, fixtures):
            passed += 1
        else:
            failed += 1
    try:
        fixtures.end_file()
    except AssertionError as error:
        print(f"FAIL {file_name}: {error}")
        failed += 1
    return passed, failed


def run_beside_each_other(file_names, arguments):
    """Each file in a process of its own; what they print comes file by file. (passed, failed)"""
    children = []
    for part, file_name in enumerate(file_names):
        output = tempfile.TemporaryFile("w+")
        command = [sys.executable, os.path.abspath(__file__), "--binary", arguments.binary, "--filter", arguments.filter,
                   "--slowness", str(arguments.slowness), "--file", file_name, "--ports", f"{part}/{len(file_names)}"]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        children.append((file_name, child, output))
        atexit.register(child.terminate)  # does nothing but after a signal
    passed = failed = 0
    for file_name, child, output in children:
        child.wait()
        output.seek(0)
        *lines, last = output.read().splitlines() or [""]
        print("\n".join(lines), flush=True)
        result = re.fullmatch(r"(\d+) passed, (\d+) failed", last)
        if result:
            passed += int(result[1])
            failed += int(result[2])
        else:
            print(f"{last}\nFAIL {file_name}: ended with {child.returncode} and without a result", flush=True)
            failed += 1
    return passed, failed


def main():
    # Not ignored, as it is where a shell started this in the background: programs under test would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--filter", default="", help="only tests whose file::name contains this")
    parser.add_argument("--slowness", type=float, default=1.0, help="factor for all time limits")
    parser.add_argument("--file", help="only this one")
    parser.add_argument("--ports", help="K/N: only the K-th of N parts of the ports, as others run beside this")
    arguments = parser.parse_args()
    harness.binary = os.path.abspath(arguments.binary)
    harness.slowness = arguments.slowness
    if arguments.ports:
        harness.use_part_of_ports(*map(int, arguments.ports.split("/")))
    if not os.access(harness.binary, os.X_OK):
        sys.exit(f"no program at {harness.binary}")
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, on_terminate)
    contract.use(harness.openapi_document())

    files = [name for name in test_files() if arguments.file in (None, name)]
    waiting = [name for name in files if mostly_waits(name) and wanted_tests(name, arguments.filter)]
    results = []
    if len(waiting) > 1:
        results.append(run_beside_each_other(waiting, arguments))
        files = [name for name in files if name not in waiting]
    results += [run_file(name, arguments.filter) for name in files]
    passed, failed = (sum(numbers) for numbers in zip(*results))
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(0 if failed == 0 and passed > 0 else 1)


if __name__ == "__main__":
    main()
