"""The REST API: every route, and every way to use it wrongly."""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tarfile
import time
import zipfile

import pytest
import requests
from lib import Background, run, wait_for
from rest import FUNCTIONS, OPENAPI, Controller
from wire import function_message


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One with the SQLite store, for all tests that leave it usable."""
    controller = Controller(tmp_path_factory.mktemp("api"), packages__max_bytes="256Ki")
    controller.start()
    yield controller
    controller.stop()


def tar_of(files, gz=False):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if gz else "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


# --- routes --------------------------------------------------------------------------------

def test_system(shared):
    assert shared.call("GET", "/healthz", expect=200).text == "ok\n"
    assert shared.call("GET", "/readyz", expect=200).text == "ready\n"
    assert shared.call("GET", "/v1/version", expect=200).json()["api"] == "v1"
    status = shared.call("GET", "/v1/status", expect=200).json()
    assert status["controller"] == "c1"
    assert status["store"] == {"engine": "sqlite", "up": True}
    assert status["namespaces"] >= 1


def test_metrics_are_well_formed(shared, tmp_path):
    shared.call("GET", "/v1/status")
    text = shared.call("GET", "/metrics", expect=200).text
    for name in ("mayfly_build_info{version=", "mayfly_controller_leader 1",
                 "mayfly_store_up 1", "mayfly_store_commit_duration_seconds_bucket{le=",
                 'mayfly_nodes{state="ready"} 0', "mayfly_functions ", "mayfly_namespaces ",
                 'mayfly_http_requests_total{method="GET",route="/v1/status",status="200"}'):
        assert name in text, name
    names = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    assert len(names) == len(set(names))
    for name, kind in names:
        assert name.startswith("mayfly_")
        assert name.endswith("_total") == (kind == "counter"), name
    if shutil.which("promtool"):
        result = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                                capture_output=True)
        assert result.returncode == 0 and not result.stderr, result.stderr


def test_head_is_get_without_body(shared):
    for path in ("/healthz", "/v1/status", "/v1/namespaces", "/v1/nodes"):
        get = shared.call("GET", path)
        head = shared.call("HEAD", path, expect=200)
        assert head.content == b""
        assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_unknown_paths(shared):
    for path in ("/", "/v1", "/v1/", "/v2/status", "/v1/nodes/", "/v1//nodes", "/v1/namespaces/a/b",
                 "/v1/namespaces/default/functions/f/versions", "//healthz"):
        reply = requests.get(f"http://127.0.0.1:{shared.port}{path}", timeout=10)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found"), path
        assert reply.headers["X-Mayfly-Request-Id"]


def test_other_methods_are_405_and_named(shared):
    for template, item in OPENAPI["paths"].items():
        path = re.sub(r"\{\w+\}", "x", template)
        allowed = {m.upper() for m in item if m in ("get", "put", "post", "patch", "delete")}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        for method in ("GET", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"):
            if method in allowed:
                continue
            reply = requests.request(method, f"http://127.0.0.1:{shared.port}{path}", timeout=10)
            assert reply.status_code == 405, (method, path)
            assert set(reply.headers["Allow"].split(", ")) == allowed, path
            assert reply.json()["error"]["message"]


def test_badly_encoded_paths_and_queries(shared):
    for path in ("/v1/nodes/%zz", "/v1/nodes/%", "/v1/nodes/a%00b"):
        error = shared.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b" 400 " in error.split(b"\r\n")[0] and b"bad_request" in error, path
    shared.error(400, "GET", "/v1/status?verbose=1", field="verbose")
    shared.error(400, "GET", f"{FUNCTIONS}/f/logs?folow=1", field="folow")
    shared.error(400, "GET", f"{FUNCTIONS}/f/logs?tail=1&tail=2", field="tail")


def test_what_is_no_http_is_refused(shared):
    for junk in (b"\x16\x03\x01 garbage\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
                 b"GET /healthz HTTP/1.1\r\n\r\n"):
        assert b" 400 " in shared.raw(junk).split(b"\r\n")[0]
    assert shared.call("GET", "/healthz").status_code == 200


# --- namespaces ----------------------------------------------------------------------------

def test_namespaces(shared):
    made = shared.call("PUT", "/v1/namespaces/team-a", expect=201).json()
    assert (made["name"], made["functions"]) == ("team-a", 0)
    assert shared.call("PUT", "/v1/namespaces/team-a", {}, expect=200).json() == made
    assert shared.call("GET", "/v1/namespaces/team-a", expect=200).json() == made
    names = [n["name"] for n in shared.call("GET", "/v1/namespaces").json()["items"]]
    assert "default" in names and "team-a" in names
    other = shared.call("PUT", "/v1/namespaces/team-b", expect=201).json()
    assert other["index"] != made["index"]

    shared.deploy("f", ns="team-a")
    shared.error(409, "DELETE", "/v1/namespaces/team-a", code="conflict")
    shared.call("DELETE", "/v1/namespaces/team-a/functions/f", expect=204)
    shared.call("DELETE", "/v1/namespaces/team-a", expect=204)
    shared.error(404, "DELETE", "/v1/namespaces/team-a", code="not_found")
    shared.error(404, "GET", "/v1/namespaces/team-a", code="not_found")
    shared.call("DELETE", "/v1/namespaces/team-b", expect=204)


@pytest.mark.parametrize("name", ["A", "-a", "a-", "a_b", "a.b", "x" * 64, "%20", "a%2Fb", "..",
                                  "%2e%2e", "ü"])
def test_names_are_checked(shared, name):
    quoted = requests.utils.quote(name, safe="%")
    for method, path, field in (
        ("PUT", f"/v1/namespaces/{quoted}", "namespace"),
        ("GET", f"/v1/namespaces/{quoted}/functions", "namespace"),
        ("GET", f"/v1/namespaces/default/functions/{quoted}", "name"),
    ):
        # as it stands: clients would tidy ".." away
        head, _, rest = shared.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
                                   f"Content-Length: 0\r\n\r\n".encode()).partition(b"\r\n\r\n")
        assert b" 400 " in head.split(b"\r\n")[0], (head, rest)
        error = json.loads(rest)["error"]
        assert error["field"] == field and "letter or a digit" in error["message"]


# --- bodies --------------------------------------------------------------------------------

@pytest.mark.parametrize("body, message", [
    (b"", "empty"), (b"{", "line 1"), (b"[]", "object"), (b"null", "object"), (b"{} {}", "end of file"),
    (b'{"spec": {}, "spec": {}}', "duplicate"), (b'{"a": "\xff"}', "0xff"),
    (b'{"spec": ' + b"[" * 100 + b"]" * 100 + b"}", "deep"), (b"{'spec': 1}", "line 1"),
])
def test_bad_json(shared, body, message):
    error = shared.error(400, "PUT", f"{FUNCTIONS}/f", body, code="bad_request")
    assert message in error["message"], error


def test_body_over_a_mebibyte(shared):
    shared.error(413, "PUT", f"{FUNCTIONS}/f", b" " * (1 << 20) + b"{}", code="payload_too_large")
    shared.error(413, "PUT", f"{FUNCTIONS}/f", iter([b" " * 65536] * 17), code="payload_too_large")


def test_content_type(shared):
    for kind in ("text/html", "multipart/form-data; boundary=x", "application/yaml"):
        shared.error(415, "PUT", f"{FUNCTIONS}/f", b"{}", headers={"Content-Type": kind},
                     field="Content-Type")
    for kind in (None, "application/json; charset=utf-8", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind} if kind else {}
        shared.error(400, "PUT", f"{FUNCTIONS}/f", b"{}", headers=headers, field="package")


@pytest.mark.parametrize("change, field", [
    ({"colour": 1}, "colour"), ({"spec": None}, "spec"), ({"spec": 7}, "spec"),
    ({"package": 7}, "package"), ({"spec": {"memory_mib": 1}}, "spec.memory_mib"),
    ({"spec": {"memory": "12Q"}}, "spec.memory_mib"), ({"spec": {"runtime": "java"}}, "spec.runtime"),
    ({"spec": {"memroy": 1}}, "spec.memroy"), ({"spec": {"env": {"A": 1}}}, "spec.env.A"),
    ({"spec": {"env": {"PORT": "1"}}}, "spec.env.PORT"), ({"spec": {"min_scale": 5, "max_scale": 2}}, "spec.min_scale"),
    ({"spec": {"target": 0.005}}, "spec.target"), ({"spec": {"max_scale": 1.5}}, "spec.max_scale"),
    ({"spec": {"max_scale_up_rate": 1}}, "spec.max_scale_up_rate"),
    ({"spec": {"constraints": ["a=b", "a=~"]}}, "spec.constraints[1]"),
    ({"spec": {"constraints": ["a=b", "c d"]}}, "spec.constraints[1]"),
    ({"spec": {"constraints": ["a=b", "a=c"]}}, "spec.constraints[0]"),
    ({"spec": {"timeout_ms": -1}}, "spec.timeout_ms"), ({"spec": {"reuse": "no"}}, "spec.reuse"),
    ({"package": {"digest": "x", "format": "file"}}, "package.digest"),
    ({"package": {"digest": "0" * 64, "format": "rar"}}, "package.format"),
    ({"package": {"digest": "0" * 64, "format": "file", "file_name": "../x"}}, "package.file_name"),
    ({"package": {"digest": "0" * 64, "format": "tar", "size": 1}}, "package.size"),
])
def test_deploys_name_the_field(shared, change, field):
    body = {"spec": {}, "package": shared.upload(b"x"), **change}
    error = shared.error(400, "PUT", f"{FUNCTIONS}/f", body, code="bad_request", field=field)
    assert field.split(".")[-1] in error["message"]


# --- packages ------------------------------------------------------------------------------

def test_packages(shared):
    data = tar_of({"bootstrap": b"#!/bin/sh\n"}, gz=True)
    digest = hashlib.sha256(data).hexdigest()
    path = f"/v1/packages/{digest}"
    shared.call("HEAD", path, expect=404)
    shared.error(404, "GET", path)
    stored = shared.call("PUT", f"{path}?format=tar", data, expect=201).json()
    assert stored == {"digest": digest, "bytes": len(data), "format": "tar", "file_name": ""}
    assert shared.call("PUT", f"{path}?format=tar", iter([data[:10], data[10:]]), expect=200).json() == stored
    head = shared.call("HEAD", path, expect=200)
    assert head.headers["Content-Length"] == str(len(data))
    assert shared.call("GET", path, expect=200).content == data
    empty = hashlib.sha256(b"").hexdigest()
    shared.call("PUT", f"/v1/packages/{empty}?format=file&file_name=a%20b", b"", expect=201)
    assert shared.call("GET", f"/v1/packages/{empty}").content == b""


def test_bad_packages(shared):
    data = tar_of({"../evil": b"x"})
    path = f"/v1/packages/{hashlib.sha256(data).hexdigest()}"
    error = shared.error(422, "PUT", f"{path}?format=tar", data, code="package_invalid")
    assert "../evil" in error["message"]
    shared.call("HEAD", path, expect=404)
    error = shared.error(422, "PUT", f"/v1/packages/{'0' * 64}?format=file&file_name=a", b"abc",
                         code="package_invalid")
    assert hashlib.sha256(b"abc").hexdigest() in error["message"]
    error = shared.error(422, "PUT", f"{path}?format=zip", data, code="package_invalid")
    for query, field in (("", "format"), ("?format=rar", "format"), ("?format=file", "file_name"),
                         ("?format=file&file_name=a%2Fb", "file_name"),
                         ("?format=file&file_name=..", "file_name")):
        shared.error(400, "PUT", path + query, data, field=field)
    leftovers = list((shared.folder / "state" / "packages").glob(".upload*"))
    wait_for("temporary files to go", lambda: not [p for p in leftovers if p.exists()])


@pytest.mark.parametrize("digest", ["x", "0" * 63, "A" * 64, "..%2F..%2Fetc%2Fpasswd", "..",
                                    "%2e%2e", "0" * 63 + "g", "0" * 65])
def test_digests_are_digests(shared, digest):
    for method in ("GET", "PUT"):
        reply = shared.raw(f"{method} /v1/packages/{digest} HTTP/1.1\r\nHost: x\r\n"
                           f"Content-Length: 0\r\n\r\n".encode())
        head, _, body = reply.partition(b"\r\n\r\n")
        assert b" 400 " in head.split(b"\r\n")[0], reply
        assert json.loads(body)["error"]["field"] == "digest"


def test_package_over_the_limit(shared):
    data = b"x" * ((256 << 10) + 1)
    path = f"/v1/packages/{hashlib.sha256(data).hexdigest()}?format=file&file_name=a"
    shared.error(413, "PUT", path, data, code="payload_too_large")
    shared.error(413, "PUT", path, iter([data[:200000], data[200000:]]), code="payload_too_large")


def test_expect_continue_spares_the_body(shared):
    """A refusal comes before the body is sent."""
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as s:
        s.sendall(f"PUT /v1/packages/{'0' * 64}?format=file&file_name=a HTTP/1.1\r\nHost: x\r\n"
                  "Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_package_must_be_there_in_its_format(shared):
    data = tar_of({"../evil": b"y"})
    package = shared.upload(data)
    shared.error(422, "PUT", f"{FUNCTIONS}/f", {"spec": {}, "package": {**package, "format": "tar"}},
                 code="package_invalid", field="package.format")
    shared.error(422, "PUT", f"{FUNCTIONS}/f",
                 {"spec": {}, "package": {"digest": "0" * 64, "format": "tar"}},
                 code="package_invalid", field="package.digest")
    good = zip_of({"bootstrap": b"#!/bin/sh\n"})
    shared.upload(good)
    assert shared.upload(good, "zip")["format"] == "zip"
    shared.deploy("two-formats", package={"digest": hashlib.sha256(good).hexdigest(), "format": "zip"})
    shared.call("DELETE", f"{FUNCTIONS}/two-formats", expect=204)


def test_large_packages_have_back_pressure(make_controller):
    """A reader that does not read costs the controller no memory to speak of."""
    controller = make_controller().start()
    data = os.urandom(1 << 20) * 64
    package = controller.upload(data)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", controller.port))
        s.sendall(f"GET /v1/packages/{package['digest']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert s.recv(64).startswith(b"HTTP/1.1 200 ")
        controller.call("GET", "/healthz")
        status = pathlib.Path(f"/proc/{controller.process.pid}/status").read_text()
        assert int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) < 60000
    assert controller.call("GET", f"/v1/packages/{package['digest']}").content == data


def test_disk_full_leaves_nothing(make_controller):
    controller = make_controller()
    state = controller.folder / "state"
    state.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", state])
    try:
        controller.start()
        function = controller.deploy("before")
        data = os.urandom(9 << 20)
        path = f"/v1/packages/{hashlib.sha256(data).hexdigest()}?format=file&file_name=a"
        controller.error(507, "PUT", path, data, code="disk_full")
        packages = state / "packages"
        wait_for("nothing half there", lambda: len(list(packages.iterdir())) == 1)
        assert controller.call("GET", f"{FUNCTIONS}/before").json()["revision"] == function["revision"]
        controller.upload(b"a small one")
    finally:
        try:
            controller.stop()
        finally:
            run(["umount", state])


def test_unused_packages_go(make_controller):
    controller = make_controller(packages__grace="300ms").start()
    unused = controller.upload(b"unused")
    used = controller.deploy("f")["package"]
    # asking for it would keep it
    wait_for("collection", lambda: "\nmayfly_packages 1\n" in controller.call("GET", "/metrics").text)
    controller.call("HEAD", f"/v1/packages/{unused['digest']}", expect=404)
    controller.call("GET", f"/v1/packages/{used['digest']}", expect=200)


# --- functions -----------------------------------------------------------------------------

def test_deploy_read_delete(shared):
    made = shared.deploy("hello", expect=201, memory="64Mi", env={"A": "ü"}, cpu="0.5")
    assert made["spec"]["memory_mib"] == 64 and made["spec"]["cpu_millis"] == 500
    assert made["spec"]["env"] == {"A": "ü"}
    assert made["path"] == "/fn/default/hello"
    assert (made["state"], made["latest_version"], made["serving_version"]) == ("deploying", 1, 0)
    assert made["package"]["bytes"] == len(b"#!/bin/sh\necho hi\n")
    reply = shared.call("GET", f"{FUNCTIONS}/hello", expect=200)
    assert reply.json()["revision"] == made["revision"]
    assert reply.headers["ETag"] == f'"{made["revision"]}"'

    again = shared.deploy("hello", expect=200)
    assert again["latest_version"] == 2 and again["revision"] > made["revision"]
    assert shared.call("GET", f"{FUNCTIONS}/hello/versions/1", expect=200).json()["number"] == 1
    shared.error(404, "GET", f"{FUNCTIONS}/hello/versions/3")
    for number in ("0", "x", "-1", "99999999999999999999"):
        shared.error(400, "GET", f"{FUNCTIONS}/hello/versions/{number}", field="version")

    for path in (FUNCTIONS, "/v1/namespaces/-/functions"):
        names = [f["name"] for f in shared.call("GET", path, expect=200).json()["items"]]
        assert "hello" in names
    shared.error(404, "GET", "/v1/namespaces/nowhere/functions")
    error = shared.error(404, "PUT", "/v1/namespaces/nowhere/functions/f",
                         {"spec": {}, "package": shared.upload(b"x")})
    assert "nowhere" in error["message"]

    shared.call("DELETE", f"{FUNCTIONS}/hello", expect=204)
    shared.error(404, "DELETE", f"{FUNCTIONS}/hello")
    shared.error(404, "GET", f"{FUNCTIONS}/hello")
    shared.error(404, "GET", f"{FUNCTIONS}/hello/versions/1?wait_ms=1000")


def test_decimals(shared):
    """As Knative's: taken as numbers and as text, and given back as they were written."""
    shared.deploy("decimal", expect=201, target=0.5, panic_threshold="110.29",
                  **{"max-scale-up-rate": 1.1})
    reply = shared.call("GET", f"{FUNCTIONS}/decimal", expect=200)
    for written in (b'"target":0.5', b'"max_scale_up_rate":1.1', b'"panic_threshold":110.29',
                    b'"panic_window":0'):
        assert re.search(re.escape(written) + b"[,}]", reply.content), reply.content
    shared.call("DELETE", f"{FUNCTIONS}/decimal", expect=204)


def test_if_match(shared):
    first = shared.deploy("guarded")["revision"]
    second = shared.deploy("guarded", headers={"If-Match": f'"{first}"'})["revision"]
    body = {"spec": {}, "package": shared.upload(b"x")}
    path = f"{FUNCTIONS}/guarded"
    shared.error(409, "PUT", path, body, headers={"If-Match": f'"{first}"'}, code="conflict")
    shared.error(409, "DELETE", path, headers={"If-Match": f'"{first}"'}, code="conflict")
    shared.error(409, "PUT", f"{FUNCTIONS}/not-there", body, headers={"If-Match": '"5"'})
    for bad in ("*", "5", 'W/"5"', '""'):
        shared.error(400, "PUT", path, body, headers={"If-Match": bad}, field="If-Match")
    shared.call("DELETE", path, headers={"If-Match": f'"{second}"'}, expect=204)


def test_deploys_at_once_each_get_their_version(shared):
    package = shared.upload(b"parallel")
    calls = [Background(Controller.deploy, shared, "busy", package=package) for _ in range(8)]
    versions = sorted(c.result()["latest_version"] for c in calls)
    function = shared.call("GET", f"{FUNCTIONS}/busy").json()
    assert function["latest_version"] == 8 and versions[-1] == 8
    shared.call("DELETE", f"{FUNCTIONS}/busy", expect=204)


def test_waiting_for_a_version(make_controller):
    controller = make_controller().start()
    function = controller.deploy("f")
    started = time.monotonic()
    version = controller.call("GET", f"{FUNCTIONS}/f/versions/1?wait_ms=300", expect=200).json()
    assert version["state"] == "deploying" and time.monotonic() - started >= 0.3
    controller.error(400, "GET", f"{FUNCTIONS}/f/versions/1?wait_ms=600001", field="wait_ms")
    waiting = Background(controller.call, "GET", f"{FUNCTIONS}/f/versions/1?wait_ms=20000")

    agent = controller.agent("n1")
    state = agent.wait(function_message("f", lambda f: any(v.get("grants") for v in f["versions"])))
    assert state["versions"][0]["package"]["digest"] == function["package"]["digest"]
    assert state["versions"][0]["grants"][0]["node"] == "n1"
    agent.send(version_report={"namespace": "default", "name": "f", "version": 1, "ready": True})
    assert waiting.result().json()["state"] == "ready"
    function = controller.call("GET", f"{FUNCTIONS}/f").json()
    assert (function["state"], function["serving_version"]) == ("ready", 1)
    agent.wait(function_message("f", lambda f: f.get("serving") == 1))

    controller.deploy("f")
    agent.wait(function_message("f", lambda f: [v["number"] for v in f["versions"]] == [1, 2]
                                or [v["number"] for v in f["versions"]] == [2, 1]))
    agent.send(version_report={"namespace": "default", "name": "f", "version": 2, "ready": False,
                               "cause": "init_failed", "text": "it said \x01 no"})
    version = controller.call("GET", f"{FUNCTIONS}/f/versions/2?wait_ms=20000").json()
    assert (version["state"], version["cause"]) == ("failed", "init_failed")
    assert "it said" in version["message"]
    assert controller.call("GET", f"{FUNCTIONS}/f").json()["serving_version"] == 1
    agent.close()


def test_every_operation_answers_as_documented(shared):
    sample = {"namespace": "default", "name": "nobody", "version": "1", "digest": "0" * 64,
              "node": "nobody", "alias": "live", "id": "nobody"}
    for template, item in OPENAPI["paths"].items():
        path = template.format(**sample)
        for method in ("get", "put", "post", "delete"):
            if method in item:
                body = b"" if method in ("put", "post") else None
                shared.call(method.upper(), path, body)
        if "get" in item:
            shared.call("HEAD", path)
