"""consistency=lease: the leader answers without asking, and never with what is no longer so."""
import threading
import time

import cluster as harness
from client import wait_until

ELECTION_TIMEOUT_SECONDS = 0.3


def lease_get(client, name):
    return client.get(name, "?consistency=lease")


def consistency(answer):
    assert answer.status == 200, answer
    return answer.headers["Cairn-Consistency"]


def wait_leased(leader, name):
    wait_until(lambda: consistency(lease_get(leader.client(), name)) == "lease", 10 * harness.slowness,
               "the leader has a lease")


def test_linearizable_where_it_is_not_enabled(cluster, name):
    cluster.leader().client().put(name, "x")
    for node in cluster.nodes:
        assert consistency(lease_get(node.client(), name)) == "linearizable"


def test_the_answer_says_what_it_was(make_cluster, name):
    cluster = make_cluster(options=["--lease-reads"])
    leader = cluster.leader()
    leader.client().put(name, "x")
    wait_leased(leader, name)
    for query in (f"/v1/values/{name}", f"/v1/raw/{name}", "/v1/values"):
        answer = leader.client().request("GET", query + "?consistency=lease")
        assert consistency(answer) == "lease", answer
    assert consistency(leader.client().get(name)) == "linearizable"
    for follower in cluster.followers():
        answer = lease_get(follower.client(), name)
        assert consistency(answer) == "linearizable" and answer.json["value"] == "x", answer
    # Nobody answers it: once the lease is over the leader knows nothing, and says so.
    for follower in cluster.followers():
        follower.pause()
    time.sleep(2 * ELECTION_TIMEOUT_SECONDS)
    assert leader.client().get(name, "?consistency=lease&timeout=1s").status in (503, 504)
    for follower in cluster.nodes:
        follower.resume()
    cluster.wait_ready()
    wait_leased(cluster.leader(), name)


def test_a_single_node(make_cluster, name):
    node = make_cluster(1, options=["--lease-reads"]).nodes[0]
    node.client().put(name, "x")
    assert consistency(lease_get(node.client(), name)) == "lease"


def test_a_paused_leader_reads_nothing_stale(make_cluster, name):
    """It stands still for longer than any lease, others elect and write; reads wait in its socket meanwhile.

    The others start anew in between, every other time: then nothing of theirs waits in its sockets that would tell it
    of the new leader before it sees the reads.
    """
    cluster = make_cluster(options=["--lease-reads"])
    for turn in range(4):
        old = cluster.leader()
        others = [n for n in cluster.nodes if n is not old]
        old.client().put(name, f"old {turn}")
        wait_leased(old, name)
        old.pause()
        if turn % 2 == 0:
            for node in others:
                node.kill()
            for node in others:
                node.start()
        new = cluster.leader(among=others)
        assert new.client().put(name, f"new {turn}").status == 200
        time.sleep(2 * ELECTION_TIMEOUT_SECONDS)
        # Sent while it stands still, so that they are the first thing it sees.
        answers = []

        def read():
            answers.append(old.client().get(name, "?consistency=lease&timeout=3s"))

        readers = [threading.Thread(target=read) for _ in range(8)]
        for reader in readers:
            reader.start()
        time.sleep(0.1)
        old.resume()
        for reader in readers:
            reader.join()
        assert len(answers) == 8
        served = [a for a in answers if a.status == 200]
        for answer in answers:
            assert answer.status in (200, 503, 504), answer
        for answer in served:
            assert answer.json["value"] == f"new {turn}", answer
        assert served, "none was served"
        cluster.wait_ready()


def test_reads_never_go_back_while_leadership_moves(make_cluster, name):
    """One writer counts up; lease reads on all nodes see at least what was acknowledged before they began."""
    cluster = make_cluster(options=["--lease-reads"])
    cluster.leader().client().put(name, "0")
    acknowledged = [0]
    leased = [0]
    wrong = []
    ended = threading.Event()

    def write():
        number, at = 0, 0
        client = cluster.nodes[0].client(5.0)
        while not ended.is_set():
            number += 1
            try:
                if client.put(name, str(number), query="?timeout=1s").status == 200:
                    acknowledged[0] = number
                    continue
            except (OSError, harness.http.client.HTTPException):
                pass
            at += 1
            client = cluster.nodes[at % 3].client(5.0)

    def read(node):
        client = node.client(5.0)
        while not ended.is_set():
            least = acknowledged[0]
            try:
                answer = client.get(name, "?consistency=lease&timeout=1s")
            except (OSError, harness.http.client.HTTPException):
                client = node.client(5.0)
                continue
            if answer.status == 200:
                leased[0] += answer.headers["Cairn-Consistency"] == "lease"
                if int(answer.json["value"]) < least:
                    wrong.append((node.id, least, answer))

    threads = [threading.Thread(target=write)]
    threads += [threading.Thread(target=read, args=(node,)) for node in cluster.nodes]
    for thread in threads:
        thread.start()
    try:
        for turn in range(6):
            time.sleep(0.5)
            leader = cluster.leader()
            if turn % 3 == 0:
                target = cluster.followers()[0]
                leader.client().request("POST", "/v1/cluster/leader", f'{{"id":{target.id}}}',
                                        {"Content-Type": "application/json"})
            elif turn % 3 == 1:
                leader.pause()
                time.sleep(3 * ELECTION_TIMEOUT_SECONDS)
                leader.resume()
            else:
                leader.kill()
                leader.start()
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:3]
    assert leased[0] > 100 and acknowledged[0] > 100, (leased, acknowledged)
    print(f"    {leased[0]} by the lease, {acknowledged[0]} written")
