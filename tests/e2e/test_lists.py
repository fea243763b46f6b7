"""Lists of the REST API: pages by name, on a controller with more functions than fit in two."""

import concurrent.futures
import json
import os
import subprocess

import pytest
import requests
from lib import PREFIX
from rest import FUNCTIONS, Controller

MANY = 1200
ALL = "/v1/namespaces/-/functions"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """f0000 to f1199 in default, made in any order, and two functions of another namespace."""
    controller = Controller(tmp_path_factory.mktemp("lists"), store__engine="memory", lambda__auth="off")
    controller.start()
    package = controller.upload(b"#!/bin/sh\necho hi\n")
    controller.call("PUT", "/v1/namespaces/team", expect=201)
    for name in ("a", "z"):
        controller.deploy(name, ns="team", package=package, expect=201)
    body = {"spec": {"runtime": "exec", "handler": "run.sh"}, "package": package}
    base = f"http://127.0.0.1:{controller.port}{FUNCTIONS}"

    def make(numbers):
        with requests.Session() as session:
            for i in numbers:
                assert session.put(f"{base}/f{i:04}", json=body, timeout=30).status_code == 201

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for part in [pool.submit(make, range(i, MANY, 8)) for i in range(8)]:
            part.result()
    yield controller
    controller.stop()


def pages(controller, path, **query):
    while True:
        text = "&".join(f"{k}={v}" for k, v in query.items())
        page = controller.call("GET", f"{path}?{text}", expect=200).json()
        yield page["items"]
        if "next" not in page:
            return
        query["after"] = page["next"]


def test_a_page_has_500_if_nothing_is_said(crowd):
    page = crowd.call("GET", FUNCTIONS, expect=200).json()
    assert [f["name"] for f in page["items"]] == [f"f{i:04}" for i in range(500)]
    assert page["next"] == "f0499"
    page = crowd.call("GET", ALL, expect=200).json()
    assert len(page["items"]) == 500 and page["next"] == "default/f0499"


def test_pages_give_all_once_by_name(crowd):
    sizes = [len(p) for p in pages(crowd, ALL)]
    assert sizes == [500, 500, 202]
    names = [(f["namespace"], f["name"]) for p in pages(crowd, ALL, limit=331) for f in p]
    assert names == [*(("default", f"f{i:04}") for i in range(MANY)), ("team", "a"), ("team", "z")]
    assert [len(p) for p in pages(crowd, FUNCTIONS, limit=600)] == [600, 600]
    assert [len(p) for p in pages(crowd, "/v1/namespaces/team/functions", limit=1)] == [1, 1]


def test_what_comes_and_goes_moves_nothing(crowd):
    seen, package = [], crowd.upload(b"#!/bin/sh\necho hi\n")
    for page in pages(crowd, FUNCTIONS, limit=400):
        seen += [f["name"] for f in page]
        crowd.call("DELETE", f"{FUNCTIONS}/{page[-1]['name']}", expect=204)
        crowd.deploy(f"e{len(seen)}", package=package, expect=201)
    assert seen == [f"f{i:04}" for i in range(MANY)]
    for name in ("e400", "e800", "e1200"):
        crowd.call("DELETE", f"{FUNCTIONS}/{name}", expect=204)
    for i in (399, 799, 1199):
        crowd.deploy(f"f{i:04}", package=package, expect=201)


@pytest.mark.parametrize("query, field", [
    ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=ten", "limit"),
    ("limit=", "limit"), ("after=", "after"), ("after=default", "after"), ("after=/f", "after"),
    ("after=default/", "after"), ("after=De%20fault/f", "after"), ("after=default/f/g", "after"),
    (f"after={'n' * 64}/f", "after"), (f"after=default/{'f' * 129}", "after"),
    ("continue=f", "continue"),
])
def test_wrong_queries_are_named(crowd, query, field):
    error = crowd.error(400, "GET", f"{ALL}?{query}", code="bad_request", field=field)
    assert field in error["message"] and error["fix"]


def test_after_within_a_namespace_is_a_name(crowd):
    crowd.error(400, "GET", f"{FUNCTIONS}?after=default/f0001", field="after")
    page = crowd.call("GET", f"{FUNCTIONS}?after=f0001&limit=1", expect=200).json()
    assert page["items"][0]["name"] == "f0002" and page["next"] == "f0002"
    assert crowd.call("GET", f"{FUNCTIONS}?after=zzz", expect=200).json() == {"items": []}


def test_other_lists_have_pages_too(crowd):
    assert [n["name"] for p in pages(crowd, "/v1/namespaces", limit=1) for n in p] == ["default", "team"]
    for _ in range(3):
        crowd.call("POST", "/v1/namespaces/team/keys", {}, expect=201)
    keys = [k["access_key_id"] for p in pages(crowd, "/v1/namespaces/team/keys", limit=2) for k in p]
    assert keys == sorted(keys) and len(keys) == 3
    assert list(pages(crowd, "/v1/nodes", limit=1)) == [[]]
    package = crowd.upload(b"#!/bin/sh\necho hi\n")
    for name in ("tools", "libs"):
        crowd.call("POST", f"/v1/namespaces/team/layers/{name}/versions", {"package": package}, expect=201)
    layers = [la["name"] for p in pages(crowd, "/v1/namespaces/-/layers", limit=1) for la in p]
    assert layers == ["libs", "tools"]
    crowd.error(400, "GET", "/v1/nodes?limit=0", field="limit")


def test_a_page_of_large_functions_ends_early(tmp_path):
    """Its text, not the number of items, is what a reply costs."""
    controller = Controller(tmp_path, store__engine="memory")
    controller.start()
    try:
        package = controller.upload(b"#!/bin/sh\necho hi\n")
        for i in range(90):
            controller.deploy(f"f{i:02}", package=package, env={"BIG": "x" * 32000})
        first = controller.call("GET", FUNCTIONS)
        assert 4 << 20 <= len(first.content) < 5 << 20
        assert first.json()["next"] == first.json()["items"][-1]["name"]
        names = [f["name"] for p in pages(controller, FUNCTIONS) for f in p]
        assert names == [f"f{i:02}" for i in range(90)]
    finally:
        controller.stop()


def test_the_command_line_lists_all(crowd):
    def mayfly(*args):
        return subprocess.run(
            [PREFIX / "bin" / "mayfly", "list", *args], capture_output=True, text=True, timeout=60,
            env={**os.environ, "MAYFLY_URL": f"http://127.0.0.1:{crowd.port}"}, check=True)

    names = [f"f{i:04}" for i in range(MANY)]
    assert mayfly("-o", "name").stdout.split() == names
    assert [f["name"] for f in json.loads(mayfly("-o", "json").stdout)["items"]] == names
    result = mayfly("--limit", "1100", "-o", "name")
    assert result.stdout.split() == names[:1100] and "there are more" in result.stderr


def test_lambda_lists_and_sums_them_too(crowd):
    """Its pages and the account's numbers are of the same functions."""
    base = f"http://127.0.0.1:{crowd.port}"
    names, marker = [], ""
    while marker is not None:
        page = requests.get(f"{base}/2015-03-31/functions?MaxItems=50{marker}", timeout=30).json()
        names += [f["FunctionName"] for f in page["Functions"]]
        assert len(page["Functions"]) <= 50
        marker = f"&Marker={page['NextMarker']}" if page.get("NextMarker") else None
    assert names == [f"f{i:04}" for i in range(MANY)]
    usage = requests.get(f"{base}/2016-08-19/account-settings", timeout=30).json()["AccountUsage"]
    assert usage == {"TotalCodeSize": MANY * len(b"#!/bin/sh\necho hi\n"), "FunctionCount": MANY}
