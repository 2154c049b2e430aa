#!/usr/bin/python3
"""Torments clusters of real processes, and has everything that clients were told checked.

  run.py --binary build/server/cairn [--old-binary OTHER] [--seconds N] [--nodes 3|5] [--seed N] [--report FILE]

A run is of rounds of about a minute, each with a new cluster, by turns of three and of five nodes. A round's faults are
drawn from its seed. Then everything is healed, must come to rest, and is judged by build/tests/checker/check_history and
by the logs of the nodes. See README.md. A failure keeps what was recorded and prints how to try again. Ends with a line
"N passed, N failed".
"""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "cluster")]
# pylint: disable=wrong-import-position
import checker  # noqa: E402
import cluster as harness  # noqa: E402
import faults  # noqa: E402
import log_model  # noqa: E402
import machine  # noqa: E402
import network as networks  # noqa: E402
import observer as observers  # noqa: E402
import report as reports  # noqa: E402
import workload as workloads  # noqa: E402

ROUND_SECONDS = 60
REST_SECONDS = 30.0  # how long it may take until everything is well again
OUTAGE_SECONDS_MAX = 20.0  # without a leader although a majority was there
SMALL_DISKS = {3: 1, 5: 2}
# How long one of five nodes believes that it leads when it hears nobody; the others elect another much sooner. That is
# when reads could be stale that no quorum has confirmed.
PATIENCE_MS = 1500


class Violation(Exception):
    pass


class Round:
    """One cluster from its beginning to the verdict."""

    def __init__(self, run, size, seed, seconds):
        self.run, self.size, self.seed, self.seconds = run, size, seed, seconds
        self.notes = []

    def play(self):
        run = self.run
        cluster = machine.TormentedCluster(self.size, run.options, run.network, run.clocks, run.programs)
        try:
            self._begin(cluster)
        except Exception:
            self._keep_logs(cluster)
            raise
        finally:
            cluster.stop()

    def _begin(self, cluster):
        run = self.run
        choose = random.Random(f"{self.seed}-cluster")
        unavailable = dict(run.unavailable)
        why = cluster.give_small_disks(SMALL_DISKS[self.size], choose)
        if why:
            unavailable["disk"] = run.unavailable["disk"] = why
        for node in cluster.nodes:
            node.is_old = choose.random() < 0.5  # both programs from the beginning
        if self.size == 5:
            cluster.patient = choose.choice(cluster.nodes)
            cluster.patient.options = ["--election-timeout-ms", str(PATIENCE_MS)]
        cluster.start()
        observer, load = observers.Observer(cluster), workloads.Workload(cluster, self.seed)
        torment = faults.Torment(cluster, observer, load, self.seed, unavailable)
        observer.watch()
        harness.wait_until(observer.leader, REST_SECONDS * harness.slowness, "there is a leader")
        load.start()
        try:
            lines = self._torment(cluster, load, torment)
        except Exception:
            self._check_what_there_is(load)
            raise
        finally:
            load.stop_at_once()
            torment.stop_at_once()
            observer.stop()
            self._account(torment, load, observer)
        self._judge(cluster, load, lines)
        self._check_outages(torment, observer)

    def _torment(self, cluster, load, torment):
        """Returns what streams received, for the checker."""
        torment.run(time.monotonic() + self.seconds,
                    lambda text: self.run.verbose and print(f"    {text}", flush=True))
        over = time.monotonic()
        load.stop_clients()
        cluster.come_to_rest(REST_SECONDS)
        ends = load.read_everything()
        self.notes.append(f"at rest {time.monotonic() - over:.1f} s after the last fault")
        return load.stop_streams(ends)

    @staticmethod
    def _keep_logs(cluster):
        kept = tempfile.mkdtemp(prefix="cairn-nemesis-logs-")
        for node in cluster.nodes + cluster.removed:
            if os.path.exists(node.log_path):
                shutil.copy(node.log_path, kept)
        print(f"    the nodes' own logs: {kept}", flush=True)

    def _check_what_there_is(self, load):
        """It failed before the logs could be read; perhaps what clients were told says why."""
        load.stop_at_once()
        try:
            print(f"    what clients were told until then: {self._check(load.history.operations)}")
        except Violation as error:
            print("    " + str(error).replace("\n", "\n    "))

    def _account(self, torment, load, observer):
        reports.account(self.run.rows, torment.injected, load.history.operations, observer.reigns(),
                        observer.leaderless(self.size // 2 + 1), load.followers)
        refused = {}
        for client in load.clients:
            for code, count in client.refused.items():
                refused[code] = refused.get(code, 0) + count
        told = ", ".join(f"{count} {code}" for code, count in sorted(refused.items())) or "nothing"
        self.notes.append(f"{len(observer.reigns())} leaders; refused: {told}; {torment.was_full} times DISK_FULL to"
                          f" big writes; {sum(c.replayed for c in load.clients)} answers given again for their key")

    def _check_outages(self, torment, observer):
        leaderless = observer.leaderless(self.size // 2 + 1)
        for one in torment.injected:
            longest = max((reports.overlap(i, one) for i in leaderless), default=0.0)
            if one.fault.leaves_majority and longest > OUTAGE_SECONDS_MAX * harness.slowness:
                raise Violation(f"{longest:.1f} s without a leader, with a majority: {one.fault.name}: {one.detail}")

    def _judge(self, cluster, load, stream_lines):
        applied = max(n.applied() for n in cluster.nodes)
        cluster.wait_caught_up()
        ending = [(node, harness.in_background(node.terminate)) for node in cluster.nodes]
        for node, finish in ending:
            status = finish()
            if status != 0:
                raise Violation(f"node {node.id} ended with {status} when told to stop")
        self._verify(cluster)
        logs = {node.id: log_model.entries_of(harness.binary, node.data_dir) for node in cluster.nodes}
        model = log_model.Model(workloads.PREFIX)
        for entry in log_model.agreed(logs, applied):
            model.apply(entry)
        keyed = log_model.keyed_commands(model, load.done_at(), load.answers_by_key())
        self.notes.append(f"{applied} entries in the log, {model.clock_changes} of them tell of another wall clock")
        self.notes.append(self._check(model.events + stream_lines + keyed + load.history.operations))
        if load.problems():
            raise Violation("; ".join(load.problems()))

    def _verify(self, cluster):
        for node in cluster.nodes:
            done = subprocess.run([harness.binary, "verify", "--data-dir", node.data_dir], capture_output=True,
                                  text=True, check=False)
            if done.returncode != 0:
                raise Violation(f"cairn verify of node {node.id}: {done.stdout}{done.stderr}")

    def _check(self, lines):
        directory = tempfile.mkdtemp(prefix="cairn-nemesis-")
        path, page = os.path.join(directory, "history.jsonl"), os.path.join(directory, "history.html")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        done = subprocess.run([checker.program(), path, "--html", page], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shown = done.stdout.splitlines()
            raise Violation(f"check_history: exit status {done.returncode}; kept: {path} and {page}\n"
                            + "\n".join(shown[:30] + ["…"] * (len(shown) > 60) + shown[30:][-30:]) + done.stderr)
        shutil.rmtree(directory)
        return "; ".join(done.stdout.splitlines()[-2:])


class Run:
    def __init__(self, arguments, directory):
        self.options = ["--snapshot-entries", "100000000"]  # taken when the torment says so
        self.verbose = not arguments.quiet
        self.rows = {}
        self.notes = []
        self.network, why = networks.best()
        if why:
            self.notes.append(f"NOT AS MEANT: partitions go by {self.network.name}: {why}")
        self.clocks = machine.Clocks(harness.binary)
        self.unavailable = {}
        if self.clocks.unavailable:
            self.unavailable["clock"] = self.clocks.unavailable
        other = arguments.old_binary
        if other is None:
            other = shutil.copy(harness.binary, os.path.join(directory, "cairn-copy"))
            self.notes.append("upgrades and downgrades were between two copies of the same build")
        else:
            version = subprocess.run([other, "--version"], capture_output=True, text=True, check=True).stdout.strip()
            self.notes.append(f"upgrades and downgrades were between {harness.binary} and {other} ({version})")
        self.programs = (harness.binary, os.path.abspath(other))

    def play(self, size, seed, seconds):
        began = time.monotonic()
        one = Round(self, size, seed, seconds)
        good = False
        try:
            one.play()
            good = True
        except (Violation, log_model.Broken, AssertionError) as error:
            print("    " + str(error).replace("\n", "\n    "))
        except Exception:  # pylint: disable=broad-except
            print("    " + traceback.format_exc().replace("\n", "\n    "))
        for note in one.notes:
            print(f"    {note}")
        print(f"{'PASS' if good else 'FAIL'} nemesis: {size} nodes, seed {seed}"
              f" ({time.monotonic() - began:.1f} s)", flush=True)
        if not good:
            print(f"    again: tests/nemesis/run.py --binary {harness.binary} --nodes {size} --seed {seed}"
                  f" --seconds {seconds}", flush=True)
        return good

    def tell(self, path):
        missing = [f"NOT DONE: {f.name}: {self.unavailable[f.needs]}" for f in faults.FAULTS
                   if f.needs in self.unavailable]
        missing += [f"not drawn in this run: {f.name}" for f in faults.FAULTS
                    if f.name not in self.rows and f.needs not in self.unavailable]
        rows = [self.rows[f.name] for f in faults.FAULTS if f.name in self.rows]
        notes = [f"partitions by {self.network.name}"] + self.notes + missing + [
            "what is seen is counted until the next fault begins; in brackets: no majority was left"]
        print("\n" + reports.text(rows, notes), flush=True)
        if path:
            with open(path, "w", encoding="utf-8") as file:
                file.write(reports.markdown(rows, notes))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--old-binary", help="another build, to upgrade from; a copy of the same one otherwise")
    parser.add_argument("--seconds", type=int, default=120, help="altogether, about")
    parser.add_argument("--nodes", type=int, choices=(3, 5), help="both by turns otherwise")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000_000)
    parser.add_argument("--slowness", type=float, default=1.0, help="factor for all time limits")
    parser.add_argument("--report", help="a file for the table, as Markdown")
    parser.add_argument("--quiet", action="store_true", help="no line for each fault")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    harness.binary = os.path.abspath(arguments.binary)
    harness.slowness = arguments.slowness
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    results = []
    with tempfile.TemporaryDirectory(prefix="cairn-nemesis-") as directory:
        run = Run(arguments, directory)
        rounds = max(1 if arguments.nodes else 2, round(arguments.seconds / ROUND_SECONDS))
        for number in range(rounds):
            size = arguments.nodes or (3, 5)[number % 2]
            # What comes after the faults takes some seconds too.
            results.append(run.play(size, arguments.seed + number, max(10, arguments.seconds // rounds - 10)))
        run.tell(arguments.report)
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
