"""Partial partitions between real processes: chains, one-way links, hubs. All link graphs are played in
tests/scenario/link_graph_scenarios.cc; here is the rest of the program between client and protocol."""
import time

import cluster as harness
from client import wait_until
from relay import Relay

# Many times what a follower waits before it campaigns.
WATCHED_SECONDS = 4.0


def leadership(node):
    status = node.status()
    return status["leader"], status["term"]


def put(node, name, value, query="?timeout=2s"):
    return node.client().put(name, value, query=query).status in (200, 201)


def check_undisturbed(leader, writers, name):
    """For a while every write succeeds through each of the writers, under the same leader in the same term."""
    before = leadership(leader)
    assert before[0] == leader.id, before
    ends = time.monotonic() + WATCHED_SECONDS
    clients = [node.client() for node in writers]
    number = 0
    while time.monotonic() < ends:
        number += 1
        for client in clients:
            answer = client.put(name, str(number))
            assert answer.status in (200, 201), answer
    assert number > 20, "too little happened to prove anything"
    assert leadership(leader) == before, (before, leadership(leader))


def wait_cut_off(node):
    """The node says that it can't serve, but for what it has itself."""
    client = node.client()
    wait_until(lambda: client.request("GET", "/readyz?timeout=1s").status == 503, 15 * harness.slowness,
               f"node {node.id} is not ready")


def check_cut_off(node, name):
    client = node.client()
    answer = client.request("GET", "/readyz?timeout=1s")
    assert answer.status == 503, answer
    answer = client.put(f"{name}/refused", "x", query="?timeout=1s")
    assert answer.status in (503, 504), answer
    assert client.get(name, "?timeout=1s").status in (503, 504)
    assert client.get(name, "?consistency=local").status == 200
    assert client.request("GET", "/livez").status == 200


def test_the_end_of_a_chain_unseats_nobody(make_cluster, name):
    """As at Cloudflare on 2020-11-02: two nodes can't see each other, the third sees both."""
    cluster = make_cluster(start=False)
    with Relay(cluster) as relay:
        cluster.start()
        leader, (middle, end) = cluster.leader(), cluster.followers()
        before = leadership(leader)
        assert put(leader, name, "before")
        cluster.wait_caught_up()
        relay.part(leader.id, end.id)
        wait_cut_off(end)
        check_undisturbed(leader, [leader, middle], name)
        check_cut_off(end, name)
        relay.heal()
        cluster.wait_ready()
        assert leadership(end) == leadership(leader) == before, "unseated by who came back"
        assert put(end, name, "after")
        harness.check_same_everywhere(cluster, [name])


def test_a_one_way_link_unseats_nobody(make_cluster, name):
    cluster = make_cluster(start=False)
    with Relay(cluster) as relay:
        cluster.start()
        leader, (whole, half) = cluster.leader(), cluster.followers()
        before = leadership(leader)
        assert put(leader, name, "before")
        cluster.wait_caught_up()
        # It hears nothing, and what it says is heard.
        relay.cut(leader.id, half.id)
        wait_cut_off(half)
        check_undisturbed(leader, [leader, whole], name)
        check_cut_off(half, name)
        relay.heal()
        cluster.wait_ready()
        # It hears everything, and nobody hears it.
        relay.cut(half.id, leader.id)
        relay.cut(half.id, whole.id)
        wait_cut_off(half)
        check_undisturbed(leader, [leader, whole], name)
        check_cut_off(half, name)
        relay.heal()
        cluster.wait_ready()
        assert leadership(half) == leadership(leader) == before, "unseated by who came back"
        harness.check_same_everywhere(cluster, [name])


def test_a_leader_that_hears_nobody_makes_way(make_cluster, name):
    """All hear it and believe that they have a leader; it hears none."""
    cluster = make_cluster(start=False)
    with Relay(cluster) as relay:
        cluster.start()
        deaf, others = cluster.leader(), cluster.followers()
        assert put(deaf, name, "before")
        cluster.wait_caught_up()
        began = time.monotonic()
        for node in others:
            relay.cut(node.id, deaf.id)
        wait_until(lambda: put(others[0], name, "after", "?timeout=500ms"), 15 * harness.slowness, "another leader")
        print(f"    written again after {time.monotonic() - began:.2f} s")
        check_undisturbed(cluster.leader(among=others), others, name)
        answer = deaf.client().get(name, "?timeout=1s")
        assert answer.status in (503, 504), f"a deposed leader answers: {answer}"
        relay.heal()
        cluster.wait_ready()
        harness.check_same_everywhere(cluster, [name])


def test_five_nodes_with_nothing_but_a_hub(make_cluster, name):
    """Nobody but the hub has a quorum, and the leader is another."""
    cluster = make_cluster(size=5, start=False)
    with Relay(cluster) as relay:
        cluster.start()
        old, (hub, *_) = cluster.leader(), cluster.followers()
        assert put(old, name, "before")
        relay.leave_only(joined=[(hub.id, n.id) for n in cluster.nodes if n is not hub])
        # Written at the old leader, and so by way of the hub.
        wait_until(lambda: put(old, name, "through the hub", "?timeout=500ms"), 20 * harness.slowness, "the hub leads")
        cluster.wait_ready()
        assert cluster.leader() is hub
        check_undisturbed(hub, cluster.nodes, name)
        elected = leadership(hub)
        relay.heal()
        check_undisturbed(hub, cluster.nodes, name)
        assert leadership(old) == elected, "unseated by who came back"
        harness.check_same_everywhere(cluster, [name])


def test_a_one_way_ring_serves_nobody_and_heals(make_cluster, name):
    cluster = make_cluster(start=False)
    with Relay(cluster) as relay:
        cluster.start()
        leader = cluster.leader()
        assert put(leader, name, "before")
        cluster.wait_caught_up()
        term = leadership(leader)[1]
        relay.leave_only(one_way=[(1, 2), (2, 3), (3, 1)])
        for node in cluster.nodes:
            wait_cut_off(node)
        ends = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < ends:
            for node in cluster.nodes:
                check_cut_off(node, name)
        assert {leadership(node)[1] for node in cluster.nodes} == {term}, "terms ran away"
        relay.heal()
        cluster.wait_ready()
        assert put(cluster.nodes[0], name, "after")
        harness.check_same_everywhere(cluster, [name])
