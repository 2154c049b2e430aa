"""What the cluster says about itself."""
import re
import time

from client import parse_time, wait_until


def test_livez_and_readyz(cluster):
    for node in cluster.nodes:
        for path in ("/livez", "/readyz"):
            answer = node.client().request("GET", path)
            assert answer.status == 200, (path, answer)


def test_cluster_status(cluster):
    statuses = [node.status() for node in cluster.nodes]
    assert len({s["leader"] for s in statuses}) == 1, statuses
    assert len({s["term"] for s in statuses}) == 1, statuses
    assert len({str(s["cluster_id"]) for s in statuses}) == 1, statuses
    leader = statuses[0]["leader"]
    for node, status in zip(cluster.nodes, statuses):
        assert status["node"] == node.id, status
        assert status["state"] == ("leader" if node.id == leader else "follower"), status
        assert 0 < status["applied_index"] <= status["commit_index"], status
        members = {m["id"]: m for m in status["members"]}
        assert sorted(members) == [n.id for n in cluster.nodes], status
        for other in cluster.nodes:
            member = members[other.id]
            assert member["raft"] == f"127.0.0.1:{other.raft_port}", member
            assert member["role"] == "voter", member
    for node in cluster.nodes:
        wait_until(lambda: all(m.get("match_index", 0) > 0 and m.get("lag") == 0 and m.get("last_contact_ms") is not None
                               for m in node.status()["members"]),
                   10, f"node {node.id} has heard from all members")


def test_members_lag_and_go(make_cluster, name):
    cluster = make_cluster()
    leader, (gone, other) = cluster.leader(), cluster.followers()

    def member(told_by):
        return [m for m in told_by.status()["members"] if m["id"] == gone.id][0]

    wait_until(lambda: "match_index" in member(other), 10, "the other follower was told how far it is")
    gone.kill()
    client = leader.client()
    for i in range(10):
        assert client.put(name, str(i)).status in (200, 201)

    for node in (leader, other):
        wait_until(lambda: member(node)["lag"] >= 10 and member(node)["last_contact_ms"] >= 300, 10,
                   f"node {node.id} says that the follower lags")
    gone.start()
    wait_until(lambda: member(leader)["lag"] == 0,
               15, "the leader says that the follower has caught up")


def test_livez_does_not_depend_on_a_quorum(make_cluster):
    cluster = make_cluster()
    survivor = cluster.followers()[0]
    for node in cluster.nodes:
        if node is not survivor:
            node.kill()
    client = survivor.client()
    answer = wait_until(
        lambda: (a := client.request("GET", "/readyz")).status == 503 and a, 10, "not ready without a quorum")
    assert answer.body, answer
    assert client.request("GET", "/livez").status == 200
    assert survivor.status()["leader"] in (0, None), survivor.status()


def test_links_and_times(cluster):
    started = {node.id: node.status()["started_at"] for node in cluster.nodes}

    def links():
        statuses = {node.id: node.status() for node in cluster.nodes}
        others = [(node, m) for node, s in statuses.items() for m in s["members"] if m["id"] != node]
        return all(m.get("hears") and m.get("reaches") and 0 < m.get("rtt_ms", 0) < 1000 for _, m in others)

    wait_until(links, 15, "every node has measured its links to all others")
    for node in cluster.nodes:
        status = node.status()
        assert status["version"] and status["disk_ms"] > 0 and status["snapshot_index"] >= 0, status
        assert parse_time(started[node.id]) - 5 < parse_time(status["leader_since"]) < time.time() + 5, status


def test_a_paused_node_is_not_heard(make_cluster):
    cluster = make_cluster()
    paused, other = cluster.followers()

    def link():
        return [m for m in other.status()["members"] if m["id"] == paused.id][0]

    wait_until(lambda: link().get("reaches"), 15, "it is reached")
    paused.pause()
    wait_until(lambda: link()["hears"] is False and not link().get("reaches"), 15, "it is heard no more")
    paused.resume()
    wait_until(lambda: link()["hears"] and link()["reaches"], 15, "it is heard again")


def test_members_tell_the_port_that_the_system_chose(make_cluster):
    cluster = make_cluster(2, start=False)
    for node in cluster.nodes:
        node.http_port = 0
        node.start()
    for node in cluster.nodes:
        listening = wait_until(lambda n=node: re.search(r"HTTP on 127\.0\.0\.1:(\d+)", n.log_tail()), 15, "it listens")
        node.http_port = int(listening.group(1))
    cluster.wait_ready()
    addresses = {node.id: f"127.0.0.1:{node.http_port}" for node in cluster.nodes}
    for node in cluster.nodes:
        wait_until(lambda n=node: {m["id"]: m.get("http") for m in n.status()["members"]} == addresses,
                   15, f"node {node.id} knows where both are: {addresses}")
        for address in addresses.values():
            origin = f"http://{address}"
            answer = node.client().request("GET", "/v1/cluster", headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == origin, (origin, answer)
