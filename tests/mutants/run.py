#!/usr/bin/python3
"""Puts each fault of faults.toml into a copy of the tree, builds that and runs the tests: they must fail.

  run.py [--filter PATTERN] [--jobs N] [--sim-seeds N] [--sim-base SEED] [--sim-seconds S] [--test-seconds S]
         [--report FILE] [--work DIR [--resume]] [--slowness X]
  run.py --list [--filter PATTERN]     the faults
  run.py --check-list                  whether every fault still fits the tree; builds nothing

The copy is made and built in a temporary directory, or in DIR, which is kept and makes the next time quicker. Its
tests must pass before anything is broken. Then, for each fault: the unit tests and scenarios up to the first that
fails; and, whether or not one did, the simulation until a seed finds it, so that it is seen what the simulation finds
by itself. A fault that nothing found is a failure, and so is one that the simulation must find and didn't. A test
program that doesn't end within its time has found it, too. Whatever doesn't come from a
test isn't counted as found: a fault that doesn't fit, doesn't compile, or a program that is missing, is an error.

--filter       only faults whose name or class contains PATTERN
--jobs         so many copies at a time
--sim-seeds    how many seeds the simulation plays to find one fault (300), all of which pass without one
--sim-base     the first of them (1)
--sim-seconds  when it begins no other seed (180)
--test-seconds how long one test program may take (240)
--report       a table in Markdown
--resume       takes over from DIR what an earlier run has found, for faults and files that are the same
CXX            the compiler: that of `build`, or clang++-19, through ccache if there is one, unless this says another

Ends with a line "N passed, N failed"; a fault that was found has passed.
"""
import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LIST = os.path.join(HERE, "faults.toml")
PROGRAMS = {  # check: the program
    "core_tests": "tests/core_tests",
    "node_tests": "tests/node_tests",
    "checker_tests": "tests/checker/checker_tests",
    "sim_tests": "tests/sim/sim_tests",
    "sim": "tests/sim/cairn_sim",
    "cluster": "server/cairn",
}
REPEATED = ("node_tests", "cluster")  # real threads and time: what they find, they must find twice
FIELDS = {"name", "class", "what", "file", "old", "new", "checks", "simulation"}
COLOR = re.compile(r"\x1b\[[0-9;]*m")


class Problem(Exception):
    """What keeps a fault from being tried; never a reason to call it found."""


@dataclasses.dataclass
class Found:
    by: str  # test case or seed; empty when nothing found it
    seconds: float


@dataclasses.dataclass
class Result:
    name: str
    tests: Found | None = None  # None: not asked
    simulation: Found | None = None
    error: str = ""

    def good(self, fault):
        by_tests = self.tests is not None and bool(self.tests.by)
        by_simulation = self.simulation is not None and bool(self.simulation.by)
        if fault.get("simulation", "may") not in ("no", "may") and not by_simulation:
            return False
        return not self.error and (by_tests or by_simulation)


def read_list(pattern=""):
    with open(LIST, "rb") as file:
        faults = tomllib.load(file)["fault"]
    return [fault for fault in faults if pattern in fault.get("name", "") or pattern in fault.get("class", "")]


def broken(fault, text):
    """The file with the fault in it."""
    times = text.count(fault["old"])
    if times != 1:
        raise Problem(f"what it replaces is in {fault['file']} {times} times, not once")
    return text.replace(fault["old"], fault["new"])


def problems_of_list(faults):
    names = set()
    with open(os.path.join(ROOT, "tests/sim/simulation_test.cc"), encoding="utf-8") as file:
        directed = file.read()
    for fault in faults:
        name = fault.get("name", "a fault without a name")
        missing = (FIELDS - {"checks", "simulation"}) - fault.keys()
        unknown = fault.keys() - FIELDS
        if missing or unknown:
            yield f"{name}: lacks {sorted(missing)}, doesn't know {sorted(unknown)}"
            continue
        if name in names:
            yield f"{name}: is there twice"
        names.add(name)
        asked = fault.get("simulation", "may")
        if asked not in ("no", "may", "must") and f'TEST_CASE("{asked}")' not in directed:
            yield f"{name}: simulation is no, may, must, or a case of tests/sim/simulation_test.cc"
        for check in fault.get("checks", ()):
            if check.partition(":")[0] not in PROGRAMS or check == "cluster":
                yield f"{name}: there is no check {check}"
        try:
            with open(os.path.join(ROOT, fault["file"]), encoding="utf-8") as file:
                broken(fault, file.read())
        except (OSError, Problem) as error:
            yield f"{name}: {error}"


def checks_of(fault):
    """The programs to ask, the cheap ones first; the simulation apart from them."""
    if "checks" in fault:
        return [check for check in fault["checks"] if check != "sim"]
    core = fault["file"].startswith("fsm/") or re.match(r"raft/(core|log|progress|configuration|node|quorum)", fault["file"])
    return ["core_tests", "node_tests"] if core else ["node_tests"]


def is_simulated(fault):
    return fault.get("simulation") != "no"


def listed_files():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [name for name in listed.stdout.split("\0") if name and os.path.isfile(os.path.join(ROOT, name))]
    found = []
    for directory, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(("build", "."))]
        found += [os.path.relpath(os.path.join(directory, name), ROOT) for name in names]
    return found


def compiler():
    """The compiler and the linker of Meson's environment."""
    chosen = os.environ.get("CXX")
    if not chosen:
        chosen = "clang++-19"
        try:
            with open(os.path.join(ROOT, "build", "meson-info", "intro-compilers.json"), encoding="utf-8") as file:
                chosen = " ".join(json.load(file)["host"]["cpp"]["exelist"])
        except (OSError, ValueError, KeyError):
            pass
        if "ccache" not in chosen and shutil.which("ccache"):
            chosen = "ccache " + chosen
    environment = {**os.environ, "CXX": chosen}
    if "clang" in chosen and "CXX_LD" not in environment and shutil.which("ld.lld-19"):
        environment["CXX_LD"] = "lld-19"
    return environment


class Copy:
    """A copy of the tree with a build directory of its own. One thread at a time."""

    def __init__(self, directory, options):
        self.tree = directory
        self.build_directory = os.path.join(directory, "build")  # where it usually is: ccache goes by relative paths
        self.options = options

    def run(self, command, seconds, environment=None):
        """Its output, and its exit status or None when it took too long."""
        process = subprocess.Popen(command, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            raw, _ = process.communicate(timeout=seconds * self.options.slowness)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raw, _ = process.communicate()
            status = None
        return COLOR.sub("", raw.decode("utf-8", "replace")), status

    def make(self):
        """Brings the copy up to date; what is the same keeps its time, so that it isn't built again."""
        wanted = set(listed_files())
        for directory, folders, names in os.walk(self.tree):
            if directory == self.tree and "build" in folders:
                folders.remove("build")
            for name in names:
                path = os.path.join(directory, name)
                if os.path.relpath(path, self.tree) not in wanted:
                    os.remove(path)
        for name in wanted:
            source, target = os.path.join(ROOT, name), os.path.join(self.tree, name)
            with open(source, "rb") as file:
                content = file.read()
            if os.path.exists(target):
                with open(target, "rb") as file:
                    if file.read() == content:
                        continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
            shutil.copymode(source, target)
        if not os.path.exists(os.path.join(self.build_directory, "build.ninja")):
            shutil.rmtree(self.build_directory, ignore_errors=True)
            # Quick to build, and quick enough to run.
            output, status = self.run(["meson", "setup", self.build_directory, self.tree, "-Dbuildtype=plain",
                                       "-Doptimization=1", "-Ddebug=false", "-Dwerror=true"], 600, compiler())
            if status != 0:
                raise Problem("meson setup failed:\n" + output[-2000:])

    def program(self, check):
        """Builds the program of a check; its path."""
        target = PROGRAMS[check.partition(":")[0]]
        output, status = self.run(["ninja", "-C", self.build_directory, target], 3600)
        path = os.path.join(self.build_directory, target)
        if status != 0 or not os.access(path, os.X_OK):
            where = output.find("FAILED:")
            raise Problem(f"{target} doesn't build:\n" + output[max(where, 0):][:2000])
        return path

    def read(self, name):
        with open(os.path.join(self.tree, name), encoding="utf-8") as file:
            return file.read()

    def write(self, name, text):
        with open(os.path.join(self.tree, name), "w", encoding="utf-8") as file:
            file.write(text)

    def check(self, check):
        """What of this check fails. A case that must fail twice and doesn't is left out."""
        path = self.program(check)
        if check.startswith("cluster:"):
            return self.cluster(path, check.partition(":")[2])
        began = time.monotonic()
        unsteady = []
        while True:
            case = self.doctest(path, ["-tce=" + ",".join(map(escaped, unsteady))] if unsteady else [])
            seconds = time.monotonic() - began
            if not case or check not in REPEATED or case.startswith("("):
                return Found(f"{check}: {case}" if case else "", seconds)
            if self.doctest(path, ["-tc=" + escaped(case)]) == case:
                return Found(f"{check}: {case}", seconds)
            unsteady.append(case)
            if len(unsteady) > 5:
                raise Problem(f"{check} is unsteady: {', '.join(unsteady)}")

    def doctest(self, path, arguments):
        """The first case that fails, or empty."""
        limit = self.options.test_seconds
        output, status = self.run([path, "--abort-after=1", "--no-version=true", *arguments], limit)
        if status == 0:
            return ""
        if status is None:
            return f"(did not end within {limit * self.options.slowness:.0f} s)"
        if status == -signal.SIGKILL or "[doctest]" not in output and not status < 0:
            raise Problem(f"{os.path.basename(path)} ended with status {status}:\n" + output[-1000:])
        cases = re.findall(r"^TEST CASE:\s+(.*)$", output, re.MULTILINE)
        return cases[-1].strip() if cases else f"(ended by {signal.Signals(-status).name})" if status < 0 else "(failed)"

    def cluster(self, path, pattern):
        command = [sys.executable, os.path.join(self.tree, "tests/cluster/run.py"), "--binary", path, "--filter", pattern,
                   "--slowness", str(3 * self.options.slowness)]
        began = time.monotonic()
        failed = []
        for _ in range(2):
            output, status = self.run(command, 900)
            summary = re.search(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
            if status is None or not summary or summary.group(0).startswith("0 passed, 0 failed"):
                raise Problem(f"the process tests {pattern} ended without a result:\n" + output[-1000:])
            if summary.group(2) == "0":
                return Found("", time.monotonic() - began)
            failed = re.findall(r"^FAIL\s+(\S+)", output, re.MULTILINE)
        return Found(f"cluster: {failed[0] if failed else pattern}", time.monotonic() - began)

    def simulate_directed(self, case):
        """A case of sim_tests, whose runs are of one kind."""
        path = self.program("sim_tests")
        began = time.monotonic()
        found = self.doctest(path, ["-tc=" + escaped(case)])
        return Found(f"sim_tests: {found}" if found else "", time.monotonic() - began)

    def simulate(self, seeds):
        path = self.program("sim")
        began = time.monotonic()
        seconds = int(self.options.sim_seconds * self.options.slowness)
        output, status = self.run([path, "--runs", str(seeds), "--base", str(self.options.sim_base), "--seconds",
                                   str(seconds), "--lines", "0"], self.options.sim_seconds + 300)
        taken = time.monotonic() - began
        if status == 0:
            return Found("", taken)
        if status is None:
            return Found("a seed that doesn't end", taken)
        seed = re.search(r"^reproduce: cairn_sim --seed (\d+)", output, re.MULTILINE)
        if seed:
            why = re.search(r"^(?:violation: )(.*)", output, re.MULTILINE) or re.search(r"^(.*invariant.*)", output,
                                                                                     re.MULTILINE | re.IGNORECASE)
            return Found(f"seed {seed.group(1)}" + (f": {why.group(1).strip()}" if why else ""), taken)
        if status < 0 and status != -signal.SIGKILL:
            return Found(f"a seed ended by {signal.Signals(-status).name}", taken)
        raise Problem(f"the simulation ended with status {status}:\n" + output[-1000:])

    def baseline(self, faults, seeds):
        """Without a fault everything passes, or nothing that follows means anything."""
        checks = {check for fault in faults for check in checks_of(fault)}
        if any(fault.get("simulation", "").startswith("sim: ") for fault in faults):
            checks.add("sim_tests")
        for check in sorted(checks):
            if found := self.check(check).by:
                raise Problem(f"without a fault there is a failure already: {found}")
        if any(map(is_simulated, faults)):
            if found := self.simulate(seeds).by:
                raise Problem(f"without a fault the simulation fails already: {found}")

    def attempt(self, fault):
        result = Result(fault["name"])
        whole = self.read(fault["file"])
        try:
            self.write(fault["file"], broken(fault, whole))
            seconds = 0.0  # of running; building is no part of it
            for check in checks_of(fault):
                result.tests = self.check(check)
                result.tests.seconds = seconds = seconds + result.tests.seconds
                if result.tests.by:
                    break
            if fault.get("simulation", "").startswith("sim: "):
                result.simulation = self.simulate_directed(fault["simulation"])
            elif is_simulated(fault):
                result.simulation = self.simulate(self.options.sim_seeds)
        except Problem as problem:
            result.error = str(problem)
        finally:
            self.write(fault["file"], whole)
        return result


def escaped(case):
    """A test case's name as doctest takes it in a filter."""
    return case.replace("\\", "\\\\").replace(",", "\\,")


def key_of(fault):
    """Of what is compiled."""
    with open(os.path.join(ROOT, fault["file"]), encoding="utf-8") as file:
        return hashlib.sha256("\0".join((fault["old"], fault["new"], file.read())).encode()).hexdigest()


class Results:
    """What was found, also on disk, so that a run can go on where another ended."""

    def __init__(self, path, resume):
        self.path = path
        self.lock = threading.Lock()
        self.kept = {}
        if resume and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    note = json.loads(line)
                    self.kept[note["key"]] = Result(note["name"], note["tests"] and Found(**note["tests"]),
                                                    note["simulation"] and Found(**note["simulation"]), note["error"])

    def earlier(self, fault):
        known = self.kept.get(key_of(fault))
        return known if known and known.good(fault) else None

    def add(self, fault, result):
        with self.lock, open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key_of(fault), **dataclasses.asdict(result)}) + "\n")


def told(found):
    if found is None:
        return "-"
    return f"{found.by} ({found.seconds:.1f} s)" if found.by else f"nothing in {found.seconds:.0f} s"


def announce(fault, result):
    print(f"{'PASS' if result.good(fault) else 'FAIL'} fault: {result.name}: tests: {told(result.tests)};"
          f" simulation: {told(result.simulation)}")
    if result.error:
        print(re.sub(r"(?m)^", "    ", "error: " + result.error))
    sys.stdout.flush()


def table(faults, results):
    """In Markdown."""
    def cell(found):
        return told(found).replace("|", "\\|").replace("*", "\\*")

    yield "| fault | what goes wrong | first test that fails | the simulation alone |\n|---|---|---|---|\n"
    for fault in faults:
        result = results.get(fault["name"])
        if result is None:
            continue
        why = f"error: {result.error.splitlines()[0]}" if result.error else cell(result.tests)
        yield f"| {fault['name']} | {fault['what']} | {why} | {cell(result.simulation)} |\n"


def try_all(faults, options, directory):
    """By name."""
    notes = Results(os.path.join(directory, "results.jsonl"), options.resume)
    results = {fault["name"]: known for fault in faults if (known := notes.earlier(fault))}
    for fault in faults:
        if fault["name"] in results:
            announce(fault, results[fault["name"]])
    left = [fault for fault in faults if fault["name"] not in results]
    if not left:
        return results
    copies = queue.SimpleQueue()
    for number in range(min(options.jobs, len(left))):
        copy = Copy(os.path.join(directory, f"copy-{number + 1}"), options)
        copy.make()
        if number == 0:
            began = time.monotonic()
            copy.baseline(left, options.sim_seeds)
            print(f"without a fault everything passes ({time.monotonic() - began:.0f} s with building)", flush=True)
        copies.put(copy)

    def one(fault):
        copy = copies.get()
        try:
            return fault, copy.attempt(fault)
        finally:
            copies.put(copy)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for fault, result in map(concurrent.futures.Future.result,
                                 concurrent.futures.as_completed([pool.submit(one, fault) for fault in left])):
            results[fault["name"]] = result
            notes.add(fault, result)
            announce(fault, result)
    while not copies.empty():
        copies.get().baseline(left, 20)  # everything was put back
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage=argparse.SUPPRESS)
    parser.add_argument("--filter", default="")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--sim-seeds", type=int, default=300)
    parser.add_argument("--sim-base", type=int, default=1)
    parser.add_argument("--sim-seconds", type=int, default=180)
    parser.add_argument("--test-seconds", type=int, default=240)
    parser.add_argument("--slowness", type=float, default=1)
    parser.add_argument("--report")
    parser.add_argument("--work")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check-list", action="store_true")
    options = parser.parse_args()
    faults = read_list(options.filter)
    problems = list(problems_of_list(faults))
    for problem in problems:
        print(f"tests/mutants/faults.toml: {problem}")
    if options.check_list:
        return 1 if problems else 0
    if options.list:
        for fault in faults:
            print(f"{fault['name']} ({fault['class']}): {fault['what']}")
        return 0
    if problems or not faults:
        print(f"0 passed, {max(len(problems), 1)} failed")
        return 1
    directory = os.path.abspath(options.work) if options.work else tempfile.mkdtemp(prefix="cairn-mutants-")
    os.makedirs(directory, exist_ok=True)
    began = time.monotonic()
    try:
        results = try_all(faults, options, directory)
    except Problem as problem:
        print(f"tests/mutants: {problem}")
        print("0 passed, 1 failed")
        return 1
    finally:
        if not options.work:
            shutil.rmtree(directory, ignore_errors=True)
    if options.report:
        with open(options.report, "w", encoding="utf-8") as file:
            file.writelines(table(faults, results))
    passed = sum(results[fault["name"]].good(fault) for fault in faults)
    played = [result for result in results.values() if result.simulation]
    found = [result for result in played if result.simulation.by]
    print(f"of {len(played)} faults that were simulated the simulation found {len(found)} by itself")
    print(f"{len(results)} faults in {(time.monotonic() - began) / 60:.0f} minutes")
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
