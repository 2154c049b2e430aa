#!/usr/bin/python3
"""Tests the dashboard in a real browser against a real cluster; ends with a line "N passed, N failed".

  run.py --binary CAIRN --work DIR [--filter PATTERN] [--slowness F] [--screenshots DIR]

Debian's Chromium is driven by playwright-core (scenarios.mjs), whose package is installed in the --work directory. The
scenarios ask this program over a pipe for clusters, and to kill, stop and start nodes. With --screenshots one picture of
each view is written instead.
"""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))
import cluster as clusters  # noqa: E402


def install(work):
    """The packages of package-lock.json in work/node_modules, if they aren't there already."""
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(HERE, "package-lock.json"), "rb") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    stamp = os.path.join(work, "installed")
    if not os.path.exists(stamp) or open(stamp, encoding="ascii").read() != wanted:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, name), work)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], cwd=work,
                       stdin=subprocess.DEVNULL, check=True)
        with open(stamp, "w", encoding="ascii") as file:
            file.write(wanted)
    for name in os.listdir(HERE):
        if name.endswith(".mjs"):
            shutil.copy(os.path.join(HERE, name), work)


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
        assert verb in ("kill", "start", "pause", "resume"), verb
        getattr(self.cluster.node(request["node"]), verb)()
        return {}

    def end(self):
        if self.cluster is not None:
            ended, self.cluster = self.cluster, None
            ended.stop()


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
    install(options.work)
    environment = dict(os.environ, FILTER=options.filter, SLOWNESS=str(options.slowness),
                       SCREENSHOTS=os.path.abspath(options.screenshots) if options.screenshots else "")
    nodes = Nodes()
    script = subprocess.Popen(["node", "scenarios.mjs"], cwd=options.work, env=environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    last = "0 passed, 1 failed"
    try:
        for line in script.stdout:
            if not line.startswith("{"):
                print(line, end="", flush=True)
                last = line.strip() or last
                continue
            try:
                answer = nodes.obey(json.loads(line))
            except Exception as error:  # the scenario is told, and fails
                answer = {"error": f"{type(error).__name__}: {error}"}
            script.stdin.write(json.dumps(answer) + "\n")
            script.stdin.flush()
    finally:
        nodes.end()
        script.kill()
        status = script.wait()
    return 0 if last.endswith(" 0 failed") and status in (0, -9) else 1


if __name__ == "__main__":
    sys.exit(main())
