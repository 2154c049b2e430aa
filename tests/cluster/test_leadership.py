"""Leadership handed over on request, from any node."""
import cluster as harness


def transfer(node, target):
    return node.client().request("POST", "/v1/cluster/leader", b'{"id":%d}' % target,
                                 {"Content-Type": "application/json"})


def test_leadership_goes_where_it_is_sent(make_cluster, name):
    cluster = make_cluster()
    writers = harness.Writers(cluster, name, count=4)
    for asked, target in ((0, 2), (0, 3), (2, 1), (1, 1)):
        answer = transfer(cluster.nodes[asked], target)
        assert answer.status == 200 and answer.json["leader"] == target, answer
        assert cluster.leader().id == target
        writers.wait_for(50)
    recorder = writers.stop()
    recorder.check(cluster)
    assert not recorder.unknown, "an orderly transfer leaves no write in doubt"


def test_a_stranger_cant_lead(cluster):
    answer = transfer(cluster.nodes[0], 9)
    assert answer.status == 404 and answer.json["code"] == "NOT_FOUND", answer
    for body in (b"", b"{}", b'{"id":"1"}', b'{"id":0}', b"[1]", b'{"id":1,"x":2}'):
        bad = cluster.nodes[0].client().request("POST", "/v1/cluster/leader", body,
                                                {"Content-Type": "application/json"})
        assert bad.status == 400, (body, bad)
