"""cairn watch and cairn events, against three nodes."""
import json
import signal
import subprocess

import cluster as harness
from client import wait_until
from test_client import cairn, done, endpoints, ports_of


class Following:
    """A stream that is being printed, with what it has printed so far."""

    def __init__(self, ports, *arguments):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [harness.binary, *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
            env=harness.clean_environment(CAIRN_ENDPOINT=endpoints(*ports)))
        self.lines = []
        self.reading = harness.in_background(self._read)

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def messages(self, kind=None):
        parsed = [json.loads(line) for line in list(self.lines)]
        return [m for m in parsed if (m["type"] == kind if kind else m["type"] not in ("subscribed", "progress"))]

    def wait_for(self, condition, what):
        try:
            wait_until(condition, 20.0 * harness.slowness, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.lines[-3:]}") from None

    def end(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(10 * harness.slowness)
        self.reading()
        return status


def test_a_watch_tells_the_present_value_and_each_new_one(cluster, name):
    ports = ports_of(cluster)
    client = cluster.nodes[0].client()
    assert client.put(name, "one").status == 201
    watch = Following(ports, "watch", name, "--count", "3")
    watch.wait_for(lambda: len(watch.lines) == 1, "the present value")
    assert client.put(name, "two\x1b[2J").status == 200
    watch.wait_for(lambda: len(watch.lines) == 2, "the next value")
    assert client.delete(name).status == 200
    assert watch.process.wait(10 * harness.slowness) == 0
    watch.reading()
    fields = [line.decode().rstrip("\n").split("\t")[1:] for line in watch.lines]
    assert fields == [["value", name, "one"], ["value", name, "two\\x1b[2J"], ["not set", name]], fields


def test_events_go_on_over_dying_nodes_without_loss(make_cluster, name):
    cluster = make_cluster()
    ports = ports_of(cluster)
    events = Following(ports, "events", name + "/", "--prefix", "--json")
    events.wait_for(lambda: events.messages("subscribed"), "the acknowledgement")
    written = []

    def write(node, count):
        client = node.client()
        for _ in range(count):
            answer = client.put(f"{name}/{len(written)}", f"value {len(written)}")
            assert answer.status == 201, answer
            written.append(answer.json["index"])

    for dying in cluster.nodes:
        write(cluster.leader(), 20)
        # At the first the stream begins, and each death moves it on to the next.
        events.wait_for(lambda: len(events.messages("created")) == len(written), "all events so far")
        dying.kill()
        living = [n for n in cluster.nodes if n.running]
        write(cluster.leader(among=living), 20)
        dying.start()
        cluster.wait_ready()
    events.wait_for(lambda: len(events.messages("created")) >= len(written), "all events")
    assert events.end() == -signal.SIGINT
    messages = events.messages()
    assert [m["index"] for m in messages] == written, messages
    # And from any cursor in another run.
    middle = messages[50]["cursor"]
    again = done(cairn(ports, "events", name + "/", "--prefix", "--json", "--cursor", middle,
                       "--count", str(len(written) - 51)))
    told = [m for m in map(json.loads, again.splitlines()) if m["type"] == "created"]
    assert [m["index"] for m in told] == written[51:], told
