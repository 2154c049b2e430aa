#!/usr/bin/python3
"""Tests the dashboard in a real browser against a real cluster; ends with a line "N passed, N failed".

  run.py --binary CAIRN --work DIR [--filter PATTERN] [--slowness F] [--screenshots DIR]

Debian's Chromium is driven by playwright-core (scenarios.mjs), whose package is installed in the --work directory. The
scenarios ask this program over a pipe for clusters, and to kill, stop and start nodes. The page's sources go through
TypeScript's check as well. With --screenshots one picture of each view is written instead.
"""
import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "cluster")]
import cluster as clusters  # noqa: E402
import npm_packages  # noqa: E402


def bundled(program):
    """Where the build has put the page's sources together with its packages."""
    return os.path.join(os.path.dirname(program), "dashboard", "work")


def check_types(program):
    """TypeScript's own check of the page's sources. Whether it found nothing."""
    work = bundled(program)
    compiler = os.path.join(work, "node_modules", "typescript", "bin", "tsc")
    if not os.path.exists(compiler):
        print("FAIL browser: the program was built without the dashboard")
        return False
    checked = subprocess.run(["node", compiler, "--noEmit", "-p", work], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, check=False)
    print(checked.stdout + f"{'PASS' if checked.returncode == 0 else 'FAIL'} browser: the page's types", flush=True)
    return checked.returncode == 0


class Nodes:
    """Does what the scenarios ask for; one cluster at a time."""

    def __init__(self):
        self.cluster = None

    def obey(self, request):
        verb = request["do"]
        if verb == "cluster":
            self.end()
            self.cluster = clusters.Cluster(request.get("nodes", 3))
            self.cluster.start()
            return {"bases": {node.id: f"http://127.0.0.1:{node.http_port}" for node in self.cluster.nodes}}
        assert verb in ("kill", "start", "pause", "resume", "wipe"), verb
        node = self.cluster.node(request["node"])
        if verb == "wipe":
            shutil.rmtree(node.data_dir)
        else:
            getattr(node, verb)()
        return {}

    def end(self):
        if self.cluster is not None:
            ended, self.cluster = self.cluster, None
            ended.stop()


PARTS = 2  # of the scenarios, beside each other: most of their time they wait


def play_in_parts(options):
    """The same as play() of all parts, in the order in which lines come."""
    lines = queue.SimpleQueue()

    def play_part(part, parts):
        try:
            for line in play(options, part, parts):
                lines.put(line)
        finally:
            lines.put(None)

    parts = 1 if options.screenshots else PARTS
    for part in range(parts):
        threading.Thread(target=play_part, args=(part, parts)).start()
    for _ in range(parts):
        yield from iter(lines.get, None)


def play(options, part, parts):
    """Runs a part of the scenarios, with a cluster of its own; yields what they print, a line at a time."""
    environment = dict(os.environ, FILTER=options.filter, SLOWNESS=str(options.slowness),
                       PART=str(part), PARTS=str(parts), DASHBOARD=bundled(clusters.binary),
                       SCREENSHOTS=os.path.abspath(options.screenshots) if options.screenshots else "")
    nodes = Nodes()
    with subprocess.Popen(["node", "scenarios.mjs"], cwd=options.work, env=environment, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as script:
        try:
            for line in script.stdout:
                if not line.startswith("{"):
                    yield line
                    continue
                try:
                    answer = nodes.obey(json.loads(line))
                except Exception as error:  # the scenario is told, and fails
                    answer = {"error": f"{type(error).__name__}: {error}"}
                script.stdin.write(json.dumps(answer) + "\n")
                script.stdin.flush()
        finally:
            if sys.exc_info()[0]:
                script.kill()
            try:
                nodes.end()
            except AssertionError as error:
                yield f"FAIL browser: the last cluster: {error}\n"
    if script.returncode != 0:
        yield f"FAIL browser: the scenarios ended with status {script.returncode}\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--filter", default="")
    parser.add_argument("--slowness", type=float, default=1.0)
    parser.add_argument("--screenshots", default="")
    options = parser.parse_args()
    clusters.binary = os.path.abspath(options.binary)
    clusters.slowness = options.slowness
    npm_packages.install(HERE, options.work)
    passed = failed = 0
    if not options.screenshots and options.filter in "the page's types":
        passed, failed = (1, 0) if check_types(clusters.binary) else (0, 1)
    for line in play_in_parts(options):
        print(line, end="", flush=True)
        passed += line.startswith("PASS ")
        failed += line.startswith("FAIL ")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
