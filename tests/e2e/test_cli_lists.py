"""The command line by itself: what it lists and describes, in all formats and in pages."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from cli_api import api, environment, filled, mayfly  # noqa: F401 (fixtures)
from cli_api import FUNCTION, NODE, failure, function, version


@pytest.mark.parametrize("verb", [["list"], ["nodes"], ["namespaces"], ["status"],
                                  ["describe", "hello"], ["version"]])
def test_listings_in_all_formats(filled, mayfly, verb):
    yaml = pytest.importorskip("yaml")
    whole = mayfly(*verb, "-o", "json")
    assert whole.returncode == 0, whole.stderr
    data = json.loads(whole.stdout)
    assert yaml.safe_load(mayfly(*verb, "-o", "yaml").stdout) == data
    for form in ("table", "wide", "name"):
        result = mayfly(*verb, "-o", form)
        assert result.returncode == 0 and result.stdout.strip(), form
        assert "\033" not in result.stdout


def test_list(filled, api, mayfly):
    rows = mayfly("list").stdout.splitlines()
    assert rows[0].split()[:4] == ["NAMESPACE", "NAME", "STATE", "VERSION"]
    assert rows[1].split()[:4] == ["default", "hello", "ready", "3"]
    assert mayfly("list", "--no-headers").stdout.split() == rows[1].split()
    assert mayfly("list", "-o", "name").stdout == "hello\n"
    result = mayfly("list", env={"MAYFLY_NAMESPACE": "team"})
    assert result.stdout == "" and "no functions yet" in result.stderr
    assert mayfly("list", "-q", "-n", "team").stderr == ""
    mayfly("list", "-A")
    assert "/v1/namespaces/-/functions" in api.seen[-1][1]


def paged(names):
    """A list in pages of three, or as many as are asked for, as the controller gives it."""
    def page(h):
        query = dict(parse_qsl(urlsplit(h.path).query))
        rest = [n for n in names if n > query.get("after", "").rpartition("/")[2]]
        size = int(query.get("limit", 3))
        body = {"items": [function(name=n) for n in rest[:size]]}
        if len(rest) > size:
            body["next"] = f"default/{rest[size - 1]}"
        h.reply(200, body)
    return page


def test_lists_follow_pages(api, mayfly):
    names = [f"f{i}" for i in range(8)]
    api.on("GET", "/v1/namespaces/-/functions", paged(names))
    assert mayfly("list", "-A", "-o", "name").stdout.split() == names
    assert [r[1].partition("?")[2] for r in api.requests("GET", "/functions")] == \
        ["", "after=default%2Ff2", "after=default%2Ff5"]
    rows = mayfly("list", "-A", "--no-headers").stdout.splitlines()
    assert [row.split()[1] for row in rows] == names
    whole = json.loads(mayfly("list", "-A", "-o", "json").stdout)
    assert [f["name"] for f in whole["items"]] == names and "next" not in whole


def test_lists_end_at_their_limit(api, mayfly):
    api.on("GET", "/v1/namespaces/default/functions", paged([f"f{i}" for i in range(8)]))
    result = mayfly("list", "--limit", "5", "-o", "name")
    assert result.stdout.split() == ["f0", "f1", "f2", "f3", "f4"]
    assert "the first 5; there are more" in result.stderr
    assert api.seen[-1][1].endswith("?limit=5")
    assert json.loads(mayfly("list", "--limit", "2", "-o", "json").stdout)["next"] == "default/f1"
    result = mayfly("list", "--limit", "8")
    assert len(result.stdout.splitlines()) == 9 and "more" not in result.stderr
    assert mayfly("list", "--limit", "many").returncode == 2


def test_a_list_that_never_ends_is_none(api, mayfly):
    api.on("GET", "/v1/nodes", 200, {"items": [NODE], "next": "n1"})
    result = mayfly("nodes", "-o", "name")
    assert result.returncode == 1 and "no list" in result.stderr
    api.on("GET", "/v1/nodes", 200, {"items": [], "next": "n1"})
    assert "no list" in mayfly("nodes").stderr


def test_describe_tells_why_a_version_failed(api, mayfly):
    failed = dict(version("failed", "init_failed", "exited with status 7"), number=4)
    api.on("GET", FUNCTION, 200, function(state="failed", latest_version=4, versions=[failed]))
    out = mayfly("describe", "hello").stdout
    assert "version 3 serves, the latest is 4" in out
    assert "init_failed" in out and "exited with status 7" in out


def test_delete_and_namespaces(api, mayfly):
    api.on("DELETE", FUNCTION, 204)
    api.on("PUT", "/v1/namespaces/team", 201, {"name": "team"})
    api.on("DELETE", "/v1/namespaces/team", 409, failure("conflict", "it has functions"))
    assert mayfly("delete", "hello").stdout == "deleted default/hello\n"
    result = mayfly("delete", "nobody", "hello")
    assert result.returncode == 3 and result.stdout == "deleted default/hello\n"
    assert mayfly("namespaces", "create", "team").stdout == "namespace team created\n"
    assert mayfly("namespaces", "delete", "team").returncode == 7
    assert mayfly("namespaces", "destroy", "team").returncode == 2
    assert mayfly("namespaces", "create").returncode == 2
    assert mayfly("namespaces", "create", "No_Name").returncode == 2
