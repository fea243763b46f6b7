"""Versions and traffic through a cluster: aliases, splits, publishing, rollback, and rollouts
that go on or back by themselves."""

import math

import pytest
from lib import Background, Connection, Reply, wait_for

SERVER = """#!/usr/bin/python3
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["LEVEL"].encode()
        self.send_response(int(os.environ.get("STATUS", "200")))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def server(cluster, package):
    """server("name", "a") deploys it so that it answers "a"; more options as deploy has them."""
    folder = package("server", {"server.py": SERVER})

    def deploy(name, level, *options, check=True):
        return cluster.deploy(folder, name, "--runtime", "http", "--handler", "server.py",
                              "--concurrency", "20", "--env", f"LEVEL={level}", *options,
                              check=check)

    return deploy


def call_many(cluster, name, n, host="node1"):
    """n calls over one connection: how many replies of each version there were."""
    counts = {}
    connection = Connection(cluster.network(host), 8080)
    for _ in range(n):
        connection.request("GET", f"/fn/{name}")
        response = connection.getresponse()
        reply = Reply(response, response.read())
        assert reply.status < 500 or reply.cause is None, reply
        version = int(reply.headers["X-Mayfly-Version"])
        counts[version] = counts.get(version, 0) + 1
    connection.close()
    return counts


def assert_share(count, n, share):
    """Within five standard deviations of the binomial distribution."""
    assert abs(count - n * share) < 5 * math.sqrt(n * share * (1 - share)), (count, n, share)


def test_a_split_holds_on_every_gateway(cluster, server):
    """An alias over two versions: calls go to both by weight, whichever agent is called."""
    for level in "ab":
        server("split", level)
    out = cluster.mayfly("alias", "set", "split", "live", "v1=80,v2=20").stdout
    assert "alias default/split:live is v1=80,v2=20" in out
    wait_for("the alias on all nodes", lambda: all(
        cluster.call("split:live", host=f"node{i}").status == 200 for i in (1, 2, 3)))
    jobs = [Background(call_many, cluster, "split:live", 1500, f"node{i}") for i in (1, 2, 3)]
    counts = [job.result() for job in jobs]
    for c in counts:
        assert_share(c[2], 1500, 0.2)
    assert_share(sum(c[2] for c in counts), 4500, 0.2)
    assert call_many(cluster, "split", 100) == {2: 100}  # without a name: what serves
    cluster.mayfly("delete", "split")


def test_names_and_numbers(cluster, server):
    """A version is called by its number, an alias by its name; what is not there is 404."""
    for level in "ab":
        server("named", level)
    cluster.mayfly("alias", "set", "named", "old", "1")
    wait_for("the alias", lambda: cluster.call("named:old").status == 200)
    assert cluster.call("named:old").body == b"a"
    assert cluster.call("default/named:1", path="/x").body == b"a"
    assert cluster.call("named:2").headers["X-Mayfly-Version"] == "2"
    assert cluster.call("named:$LATEST").body == b"b"
    assert cluster.mayfly("invoke", "named:old").stdout == "a"
    for name in ("named:nobody", "named:9"):
        reply = cluster.call(name)
        assert (reply.status, reply.cause) == (404, "not_found"), reply
    listed = cluster.json("alias", "list", "named")["items"]
    assert [(a["name"], a["weights"]) for a in listed] == [
        ("old", [{"version": 1, "weight": 100}])]
    result = cluster.mayfly("versions", "named", "--delete", "1", check=False)
    assert result.returncode == 7 and "alias old names version 1" in result.stderr
    cluster.mayfly("alias", "delete", "named", "old")
    wait_for("the alias to go", lambda: cluster.call("named:old").status == 404)
    cluster.mayfly("versions", "named", "--delete", "1")
    assert [v["number"] for v in cluster.json("versions", "named")] == [2]
    cluster.mayfly("delete", "named")


def test_publish_and_roll_back(cluster, server):
    """Publications count 1, 2, 3; a rollback serves what served before, at once and warm."""
    server("back", "a")
    assert "version 1 as 1" in cluster.mayfly("publish", "back").stdout
    server("back", "b")
    assert cluster.call("back").body == b"b"
    assert "version 2 as 2" in cluster.mayfly("publish", "back").stdout
    assert "version 2 as 2" in cluster.mayfly("publish", "back").stdout
    assert "version 1 serves" in cluster.mayfly("rollback", "back").stdout
    reply = wait_for("version 1", lambda: (
        lambda r: r if r.headers["X-Mayfly-Version"] == "1" else None)(cluster.call("back")))
    assert reply.body == b"a"
    result = cluster.mayfly("rollback", "back", check=False)
    assert result.returncode == 7 and "no version that was ready served before" in result.stderr
    cluster.mayfly("rollback", "back", "--to", "2")
    wait_for("version 2", lambda: cluster.call("back").body == b"b")
    cluster.mayfly("delete", "back")


def test_errors_name_what_to_mend(cluster, server):
    """Weights that do not add up, versions that are not there: said with the field."""
    server("wrong", "a")
    path = "/v1/namespaces/default/functions/wrong"
    reply = cluster.rest("PUT", f"{path}/aliases/live",
                         '{"weights": [{"version": 1, "weight": 90}]}').json()["error"]
    assert (reply["code"], reply["field"]) == ("bad_request", "weights")
    assert "add up to 90; they must add up to 100" in reply["message"]
    for split, code, text in (("1=50,1=50", 1, "twice"), ("7", 3, "no version 7"),
                              ("1=x", 2, "neither a version nor a split")):
        result = cluster.mayfly("alias", "set", "wrong", "live", split, check=False)
        assert text in result.stderr, result.stderr
        assert result.returncode == code, result.stderr
    result = server("wrong", "b", "--canary", "200", check=False)
    assert result.returncode == 2 and "--canary" in result.stderr
    cluster.mayfly("delete", "wrong")


class Traffic:
    """Calls, one after the other, until it is stopped."""

    def __init__(self, cluster, name):
        self.cluster, self.name, self.going, self.versions = cluster, name, True, set()
        self.job = Background(self.run)

    def run(self):
        while self.going:
            self.versions |= set(call_many(self.cluster, self.name, 50))

    def stop(self):
        self.going = False
        self.job.result()
        return self.versions


def test_a_canary_goes_on(cluster, server):
    """A good version takes the calls step by step; deploy waits and says each step."""
    server("canary", "a")
    traffic = Traffic(cluster, "canary")
    result = server("canary", "b", "--canary", "10%", "--steps", "10,50", "--step-time", "1s",
                    "--min-calls", "20", "--max-error-rate", "1%")
    traffic.stop()
    assert "10 % of the calls go to version 2" in result.stderr
    assert "50 % of the calls go to version 2" in result.stderr
    assert traffic.versions == {1, 2}
    wait_for("version 2", lambda: call_many(cluster, "canary", 20) == {2: 20})
    status = cluster.json("rollout", "status", "canary")
    assert (status["state"], status["weight"]) == ("done", 100)
    cluster.mayfly("delete", "canary")


def test_a_canary_goes_back(cluster, server):
    """A version that answers with errors: all calls go to the old one again, and it says so."""
    server("bird", "a")
    traffic = Traffic(cluster, "bird")
    result = server("bird", "b", "--env", "STATUS=500", "--canary", "20%", "--step-time", "60s",
                    "--min-calls", "20", "--max-error-rate", "5%", check=False)
    traffic.stop()
    assert result.returncode == 9, result.stderr
    assert "more than 5 %; all calls go to version 1 again" in result.stderr
    wait_for("version 1", lambda: call_many(cluster, "bird", 50) == {1: 50})
    versions = cluster.json("versions", "bird")
    assert [v["state"] for v in versions] == ["ready", "failed"]
    assert versions[1]["cause"] == "function_error"
    cluster.mayfly("delete", "bird")
