"""Lists whose pages all show the same index, asked of one node after the other while values change."""
import random
import threading

import cluster as harness


def pages(nodes, prefix, limit, more=""):
    """All pages of one list, the first as it is and the others at its index: (names to indexes, index)."""
    query, found, index = "", {}, None
    while True:
        node = random.choice(nodes)
        client = node.client()
        answer = client.request("GET", f"/v1/values?prefix={prefix}&limit={limit}{more}{query}")
        client.close()
        assert answer.status == 200, answer
        index = index or int(answer.headers["Cairn-Index"])
        assert int(answer.headers["Cairn-Index"]) == index, (index, answer)
        for value in answer.json["values"]:
            assert not found or value["name"] > max(found), (value, found)
            found[value["name"]] = value["index"]
        assert ("index" in answer.json) == ("next" in answer.json), answer
        if "next" not in answer.json:
            return found, index
        assert answer.json["index"] == index, answer
        query = f"&after={answer.json['next']}&at_index={index}"


def test_pages_at_one_index_under_writes(cluster, name):
    """The events tell what there was at every index; each list must be exactly that."""
    stream = cluster.nodes[0].stream(f"/v1/events/{name}/?prefix=true")
    assert stream.next()["type"] == "subscribed"
    stopping = threading.Event()
    last = {}

    def change(number):
        client = cluster.nodes[number % 3].client()
        chance = random.Random(number)
        while not stopping.is_set():
            target = f"{name}/{chance.randrange(60):02}"
            answer = client.delete(target) if chance.random() < 0.4 else client.put(target, "x")
            assert answer.status in (200, 201, 404), answer
        last[number] = client.put(f"{name}/end{number}", "x").json["index"]

    writers = [harness.in_background(lambda i=i: change(i)) for i in range(4)]
    lists = []
    try:
        for round_number in range(40):
            lists.append(pages(cluster.nodes, f"{name}/", 1 + round_number % 13,
                               ("", "&keys_only=true", "&consistency=local")[round_number % 3]))
    finally:
        stopping.set()
        for finish in writers:
            finish()
    assert len({index for _, index in lists}) > 10, "nothing changed meanwhile"
    lists.sort(key=lambda item: item[1])
    present, pending = {}, None
    end = max(last.values())
    for found, index in lists:
        while pending is None or pending[0] <= index:
            if pending is not None:
                at, event = pending
                if event["type"] == "deleted":
                    del present[event["name"]]
                else:
                    present[event["name"]] = event["index"]
            if pending is not None and pending[0] >= end:
                break
            event = stream.next()
            pending = (event.get("deleted_index") or event["index"], event)
        assert found == present, (index, found, present)
    stream.close()


def test_a_list_of_the_future_waits_and_of_the_past_is_gone(make_cluster, name):
    cluster = make_cluster(1)
    node = cluster.nodes[0]
    client = node.client()
    index = client.put(name, "x").json["index"]
    answer = client.request("GET", f"/v1/values?at_index={index + 1000}&timeout=200ms")
    assert answer.status == 504, answer
    client.put(name, "y")
    answer = client.request("GET", f"/v1/values?at_index={index}")
    assert [v["value"] for v in answer.json["values"]] == ["x"], answer
    assert answer.headers["Cairn-Index"] == str(index) and answer.headers["Cairn-Consistency"] == "local", answer
    # A node that starts from a snapshot knows nothing before it.
    assert client.request("POST", "/v1/cluster/snapshot").status == 200
    assert node.terminate() == 0
    node.start()
    cluster.wait_ready()
    client = node.client()
    answer = client.request("GET", f"/v1/values?at_index={index}")
    assert answer.status == 410 and answer.json["code"] == "NOT_FOUND" and "again" in answer.json["detail"], answer
