"""Idempotency-Key: one request, sent again anywhere and any time, is applied once and gets its first answer."""
import cluster as harness


def put(client, name, value, key, headers=None):
    return client.put(name, value, headers={"Idempotency-Key": key, **(headers or {})})


def same(first, again):
    assert again.status == first.status, (first, again)
    assert again.json == first.json, (first, again)
    assert again.headers.get("ETag") == first.headers.get("ETag"), (first, again)
    assert again.headers.get("Idempotency-Replayed") == "true", again


def test_a_retry_on_another_node_gets_the_first_answer(cluster, name):
    first = put(cluster.nodes[0].client(), name, "x", f"{name}-1")
    assert first.status == 201 and "Idempotency-Replayed" not in first.headers, first
    cluster.nodes[1].client().put(name, "y")
    for node in cluster.nodes:
        same(first, put(node.client(), name, "x", f"{name}-1"))
    assert cluster.nodes[2].client().get(name).json["value"] == "y"


def test_refusals_are_kept_too(cluster, name):
    client = cluster.nodes[0].client()
    refused = put(client, name, "x", f"{name}-1", {"If-Match": '"1"'})
    assert refused.status == 412, refused
    client.put(name, "there now")
    again = put(client, name, "x", f"{name}-1", {"If-Match": '"1"'})
    assert again.status == 412 and again.headers.get("Idempotency-Replayed") == "true", again


def test_delete_and_post(cluster, name):
    client = cluster.nodes[0].client()
    client.put(name, "x")
    headers = {"Idempotency-Key": f"{name}-d"}
    first = client.delete(name, headers=headers)
    assert first.status == 200 and first.json["value"] == "x", first
    client.put(name, "again")
    same(first, client.delete(name, headers=headers))
    assert client.get(name).json["value"] == "again"
    headers = {"Idempotency-Key": f"{name}-p", "Content-Type": "application/json"}
    body = b'{"set":{"value":"aGk="}}'
    posted = client.request("POST", f"/v1/values/{name}", body, headers)
    assert posted.status == 200, posted
    same(posted, client.request("POST", f"/v1/values/{name}", body, headers))


def test_another_request_with_the_same_key_is_refused(cluster, name):
    client = cluster.nodes[0].client()
    put(client, name, "x", f"{name}-1")
    for answer in (put(client, name, "other", f"{name}-1"),
                   put(client, name + "2", "x", f"{name}-1"),
                   put(client, name, "x", f"{name}-1", {"If-None-Match": "*"}),
                   client.delete(name, headers={"Idempotency-Key": f"{name}-1"})):
        assert answer.status == 422 and answer.json["code"] == "IDEMPOTENCY_MISMATCH", answer
    assert client.get(name).json["value"] == "x"


def test_bad_keys(cluster, name):
    client = cluster.nodes[0].client()
    for key in ("", "a b", "k" * 256):
        answer = put(client, name, "x", key)
        assert answer.status == 400 and answer.json["code"] == "INVALID", answer


def test_keys_survive_leaders_restarts_and_snapshots(make_cluster, name):
    cluster = make_cluster(options=("--snapshot-entries", "100"))
    first = put(cluster.leader().client(), name, "once", f"{name}-1")
    assert first.status == 201, first
    cluster.leader().kill()
    alive = [node for node in cluster.nodes if node.running]
    leader = cluster.leader(among=alive)
    same(first, put(leader.client(), name, "once", f"{name}-1"))
    for i in range(300):
        leader.client().put(f"{name}/{i}", "filler")
    for node in cluster.nodes:
        if node.running:
            node.kill()
    for node in cluster.nodes:
        node.start()
    cluster.wait_ready()
    for node in cluster.nodes:
        same(first, put(node.client(), name, "once", f"{name}-1"))
