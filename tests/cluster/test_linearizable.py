"""What clients were told, all of it, has an order that one register per name could have had, whatever happens to
the nodes."""
import random
import time

import checker
import cluster as harness
import test_leadership

CLIENTS = 6
NAMES = 5
WRITES = ("set", "create", "update", "delete")


def one_operation(client, choose, names, seen, number):
    name = choose.choice(names)
    value = f"{client.number}-{number}"
    kind = choose.choice(("get", "get", "get", "local", "set", "set", "create", "update", "update", "update", "delete"))
    if kind in ("get", "local"):
        done = client.get(name, local=kind == "local")
        if done["outcome"] == "ok" and kind == "get":
            seen[name] = done["index"]
    elif kind == "set":
        done = client.set(name, value, ttl_ms=choose.choice((0, 0, 0, 300)))
    elif kind == "create":
        done = client.create(name, value)
    elif kind == "update":
        done = client.update(name, value, seen.get(name, 0))
    else:
        done = client.delete(name, choose.choice((0, seen.get(name, 0))))
    # What it succeeded with, or was refused for, is the newest it knows.
    if kind in WRITES and kind != "delete" and done.get("index"):
        seen[name] = done["index"]
    return done


def run_client(client, names, ends):
    choose = random.Random(client.number)
    seen = {}
    number = 0
    while time.monotonic() < ends:
        number += 1
        # Half of them go from node to node, which is where stale reads would show.
        for _ in range(choose.randrange(3) if client.number % 2 else 0):
            client.move()
        done = one_operation(client, choose, names, seen, number)
        if done["outcome"] in ("unknown", "not_applied"):
            client.move()
            time.sleep(0.01)
    client.close()
    return client.unexpected


def torment(cluster, ends):
    """Kills the leader, pauses a follower, hands leadership over, in turn. Returns how often."""
    rounds = 0
    while time.monotonic() < ends:
        leader = cluster.leader()
        leader.kill()
        cluster.leader()
        time.sleep(0.3)
        leader.start()
        cluster.wait_ready()
        paused = cluster.followers()[0]
        paused.pause()
        try:
            time.sleep(0.5)
        finally:
            paused.resume()
        target = cluster.followers()[0]
        test_leadership.transfer(target, target.id)
        time.sleep(0.2)
        # A leader that stands still while another takes over, and then goes on.
        leader = cluster.leader()
        leader.pause()
        try:
            cluster.leader(among=[n for n in cluster.nodes if n is not leader])
            time.sleep(0.3)
        finally:
            leader.resume()
        rounds += 1
    return rounds


def test_histories_are_linearizable(make_cluster, name):
    cluster = make_cluster()
    names = [f"{name}/{i}" for i in range(NAMES)]
    history = checker.History()
    clients = [checker.RecordingClient(history, i, cluster.nodes) for i in range(CLIENTS)]
    ends = time.monotonic() + 10 * harness.slowness
    finishers = [harness.in_background(lambda c=c: run_client(c, names, ends)) for c in clients]
    rounds = torment(cluster, ends)
    for finish in finishers:
        unexpected = finish()
        assert not unexpected, unexpected[:3]
    final = checker.RecordingClient(history, CLIENTS, cluster.nodes)
    cluster.wait_caught_up()
    for one in names:
        assert final.get(one)["outcome"] in ("ok", "not_found")
    final.close()
    print(f"    {history.check().splitlines()[-1]}; {rounds} rounds;"
          f" {history.count('unknown')} unknown, {history.count('not_applied')} not applied")
    # Else the verdict says little.
    assert history.count("ok", kinds=("get",)) > 200, "too few reads succeeded"
    for kind in WRITES:
        assert history.count("ok", kinds=(kind,)) > 30, f"too few succeeded: {kind}"
    assert history.count("conflict") > 30, "too few conflicts"


test_histories_are_linearizable.deadline_seconds = 120
