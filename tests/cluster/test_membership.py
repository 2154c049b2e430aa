"""Members come and go while clients write; who lost its data has no say until it has it again."""
import glob
import os
import shutil
import time

import cluster as harness
from client import wait_until


def members(node):
    status = node.status()
    return {m["id"]: m["role"] for m in status["members"]} if status else None


def wait_for_members(cluster, expected, timeout=20.0):
    """Every running node has applied a configuration with these roles."""
    for node in cluster.nodes:
        if node.running:
            wait_until(lambda n=node: members(n) == expected, timeout * harness.slowness,
                       f"node {node.id} knows {expected}, not {members(node)}")


def wait_until_noted(node):
    """The cluster knows which data directory each member has."""
    wait_until(lambda: all("disk_id" in m for m in node.status()["members"]), 10.0 * harness.slowness,
               "the data directories are noted")


def voters(*ids):
    return {i: "voter" for i in ids}


def any_running(cluster, but=None):
    return next(n for n in cluster.nodes if n.running and n is not but)


def remove(cluster, node, via=None):
    answer = (via or any_running(cluster, but=node)).client().request(
        "DELETE", f"/v1/cluster/members/{node.id}?timeout=20s")
    assert answer.status == 200, answer
    return answer


def add(node_asked, member_id, port, **more):
    return node_asked.client().request(
        "POST", "/v1/cluster/members", {"id": member_id, "raft": f"127.0.0.1:{port}", **more})


def wait_until_ended(node):
    """It ends by itself, says why, and the exit status is a clean one."""
    wait_until(lambda: node.process.poll() is not None, 20.0 * harness.slowness, f"node {node.id} ends")
    assert node.process.returncode == 0, node.process.returncode
    node.process = None
    assert "was removed from the cluster" in node.log_tail(4000), node.log_tail()


def damage(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0xff]))


def test_one_two_three_five_three_one_under_load(make_cluster, name):
    cluster = make_cluster(size=1)
    writers = harness.Writers(cluster, name, count=4)
    writers.wait_for(50)
    for ids in ([1, 2], [1, 2, 3], [1, 2, 3, 4, 5]):
        for new in ids[len(cluster.nodes):]:
            cluster.join(new)
        wait_for_members(cluster, voters(*ids))
        writers.wait_for(50)
    left = [1, 2, 3, 4, 5]
    for gone in (5, 1, 3, 2):  # 1 has led so far, most likely
        node = cluster.node(gone)
        remove(cluster, node)
        left.remove(gone)
        wait_until_ended(node)
        wait_for_members(cluster, voters(*left))
        writers.wait_for(50)
    recorder = writers.stop()
    assert left == [4]
    recorder.check(cluster)
    print(f"    {len(recorder.acknowledged)} acknowledged, {len(recorder.not_applied)} refused,"
          f" {recorder.unknown} unknown")


test_one_two_three_five_three_one_under_load.deadline_seconds = 180


def test_the_leader_removes_itself_when_asked(make_cluster, name):
    """It hands over first: writes go on almost at once."""
    cluster = make_cluster()
    leader = cluster.leader()
    writers = harness.Writers(cluster, name, count=2)
    writers.wait_for(20)
    asked = time.monotonic()
    remove(cluster, leader, via=leader)
    gap = writers.gap_after(asked)
    wait_until_ended(leader)
    wait_for_members(cluster, voters(*(n.id for n in cluster.nodes if n is not leader)))
    writers.wait_for(20)
    writers.stop().check(cluster)
    assert gap < 2.0 * harness.slowness, f"no write for {gap:.2f} s"


def test_a_node_removed_while_it_was_down_learns_it_and_can_not_disturb(make_cluster, name):
    cluster = make_cluster()
    leader = cluster.leader()
    gone = cluster.followers()[0]
    gone.kill()
    remove(cluster, gone, via=leader)
    wait_for_members(cluster, voters(*(n.id for n in cluster.nodes if n is not gone)))
    term = leader.status()["term"]
    gone.start()
    wait_until_ended(gone)
    assert leader.status()["term"] == term
    assert leader.status()["leader"] == leader.id
    assert leader.client().put(name, "x").status == 201
    # Neither with its data nor without, nor by being added again.
    shutil.rmtree(gone.data_dir)
    gone.start()
    wait_until_ended(gone)
    refused = add(leader, gone.id, gone.raft_port)
    assert (refused.status, refused.json["code"]) == (409, "CONFLICT"), refused


def test_an_id_does_not_return_with_an_empty_disk(make_cluster, name):
    """A voter whose disk was wiped has promised things that it can't remember: nobody listens to it."""
    cluster = make_cluster()
    leader = cluster.leader()
    assert leader.client().put(name, "x").status == 201
    wiped = cluster.followers()[0]
    other = cluster.followers()[1]
    # Every data directory is known to the cluster.
    wait_until_noted(leader)
    wiped.kill()
    shutil.rmtree(wiped.data_dir)
    wiped.start()
    wait_until(lambda: "with another data directory" in wiped.log_tail(4000), 10.0 * harness.slowness,
               "the wiped node is told")
    # Without it there is no majority, and it must not make one.
    other.kill()
    wait_until(lambda: leader.status()["leader"] == 0, 10.0 * harness.slowness, "the leader steps down")
    refused = leader.client().put(name, "y", query="?timeout=1s")
    assert refused.status in (503, 504), refused
    other.start()
    wait_until(lambda: other.ready(), 15.0 * harness.slowness, "there is a majority again")
    assert other.client().get(name).json["value"] == "x"


def test_a_member_that_can_not_be_reached_costs_no_quorum(make_cluster, name):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    answer = add(node, 2, harness.free_port())
    assert answer.status == 201, answer
    assert answer.json["id"] == 2
    assert add(node, 2, int(answer.json["raft"].split(":")[1])).status == 200  # it is there already
    assert node.client().put(name, "x").status == 201
    assert members(node) == {1: "voter", 2: "learner"}
    remove(cluster, harness.Node(cluster, 2), via=node)
    assert members(node) == {1: "voter"}


def test_what_would_cost_the_quorum_is_refused(make_cluster):
    cluster = make_cluster()
    leader = cluster.leader()
    dead, alive = cluster.followers()
    dead.kill()

    def refused():
        answer = leader.client().request("DELETE", f"/v1/cluster/members/{alive.id}")
        assert answer.status == 409, answer
        assert "quorum" in answer.json["detail"], answer

    refused()  # at once, before anybody can have noticed by itself that the other is dead
    refused()
    # Through a follower too, and the dead one may go.
    answer = alive.client().request("DELETE", f"/v1/cluster/members/{alive.id}")
    assert answer.status == 409, answer
    remove(cluster, dead, via=alive)
    wait_for_members(cluster, voters(leader.id, alive.id))
    assert leader.client().request("DELETE", "/v1/cluster/members/77").status == 404


def test_the_last_voter_stays(make_cluster):
    cluster = make_cluster(size=1)
    answer = cluster.nodes[0].client().request("DELETE", "/v1/cluster/members/1")
    assert (answer.status, answer.json["code"]) == (409, "CONFLICT"), answer


def test_a_learner_that_is_to_stay_one_stays_one(make_cluster, name):
    cluster = make_cluster(size=1)
    node = cluster.nodes[0]
    learner = harness.Node(cluster, 2)
    assert add(node, 2, learner.raft_port, learner=True).status == 201
    cluster.nodes.append(learner)
    learner.joins = node
    learner.start()
    cluster.wait_ready()
    for number in range(20):
        assert node.client().put(f"{name}/{number}", "x").status == 201
    harness.check_same_everywhere(cluster, [f"{name}/{i}" for i in range(20)])
    assert members(node) == {1: "voter", 2: "learner"}
    # It serves, and passes writes on.
    assert learner.client().put(name, "by the learner").status == 201
    assert learner.client().get(name).json["value"] == "by the learner"


def test_joining_what_can_not_be_joined(make_cluster):
    cluster = make_cluster()
    twin = harness.Node(cluster, 2)  # an id that is taken, at another address
    twin.data_dir += "-twin"
    twin.joins = cluster.nodes[0]
    twin.start()
    assert twin.process.wait(20 * harness.slowness) == 2
    twin.process = None
    assert "another address" in twin.log_tail(), twin.log_tail()
    assert not os.path.exists(twin.data_dir), "something was left"


def check_repaired(cluster, node, written):
    """The node has put its damaged data aside and got everything again, as a learner first."""
    wait_for_members(cluster, voters(1, 2, 3), timeout=40.0)
    cluster.wait_ready(timeout=30.0)
    assert os.path.isdir(os.path.join(node.data_dir, "damaged-1"))
    assert "is a learner until it has caught up again" in "".join(n.log_tail(4000) for n in cluster.nodes)
    written.check(cluster)
    # Its voice counts again: it and one other make a majority.
    other = cluster.followers()[0] if cluster.leader() is node else cluster.leader()
    third = next(n for n in cluster.nodes if n not in (node, other))
    third.kill()
    wait_until(lambda: other.client().put("voice", "x", query="?timeout=1s").status in (200, 201),
               20.0 * harness.slowness, "the repaired node makes a majority")


def never_shows_less(node, acknowledged):
    """Also a local read doesn't show the empty state that a node begins with."""
    name, value, _ = acknowledged

    def reads():
        try:
            answer = node.client(3.0).get(name, "?consistency=local&timeout=1s")
        except OSError:
            return False
        assert answer.status in (200, 503, 504), answer
        return answer.status == 200 and answer.json["value"] == value

    wait_until(reads, 30.0 * harness.slowness, "it can be read from again")


def damaged_run(make_cluster, name, options, spoil, of_leader):
    cluster = make_cluster(options=options)
    writers = harness.Writers(cluster, name, count=4)
    writers.wait_for(400)
    wait_until_noted(cluster.leader())
    node = cluster.leader() if of_leader else cluster.followers()[0]
    node.kill()
    spoil(node)
    writers.wait_for(100)
    node.start()
    never_shows_less(node, writers.recorder.acknowledged[0])
    wait_until(lambda: "put aside" in node.log_tail(4000), 20.0 * harness.slowness, "the damage is noticed")
    writers.wait_for(100)
    written = writers.stop()
    check_repaired(cluster, node, written)


def spoil_log(node):
    newest = sorted(glob.glob(os.path.join(node.data_dir, "wal", "*")))
    for path in newest:
        damage(path, 4096 + 3000)  # within records that others follow


def test_a_damaged_log_is_repaired_from_the_others(make_cluster, name):
    damaged_run(make_cluster, name, (), spoil_log, of_leader=False)


def test_a_leader_with_a_damaged_log_is_repaired_from_the_others(make_cluster, name):
    damaged_run(make_cluster, name, (), spoil_log, of_leader=True)


def test_a_log_that_is_gone_is_repaired_from_the_others(make_cluster, name):
    damaged_run(make_cluster, name, (), lambda node: shutil.rmtree(os.path.join(node.data_dir, "wal")),
                of_leader=False)


def test_a_damaged_snapshot_is_repaired_from_the_others(make_cluster, name):
    def spoil(node):
        newest = sorted(glob.glob(os.path.join(node.data_dir, "snapshot", "snapshot-*")))[-1]
        damage(newest, os.path.getsize(newest) // 2)

    damaged_run(make_cluster, name, ("--snapshot-entries", "200"), spoil, of_leader=False)


for test in (test_a_damaged_log_is_repaired_from_the_others, test_a_leader_with_a_damaged_log_is_repaired_from_the_others,
             test_a_log_that_is_gone_is_repaired_from_the_others, test_a_damaged_snapshot_is_repaired_from_the_others):
    test.deadline_seconds = 120
