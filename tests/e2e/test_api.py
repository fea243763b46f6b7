"""The controller's REST API: every reply is checked against docs/openapi.yaml. The real
program with each of its stores; agents are played by wire.Agent."""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import zipfile

import jsonschema
import pytest
import requests
import yaml
from lib import Background, PREFIX, ROOT, run, wait_for
from wire import Agent, function_message

OPENAPI = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
seen = set()  # (method, path of the document, status)


# --- the document as JSON Schema -----------------------------------------------------------

def resolve(node):
    while "$ref" in node:
        target = OPENAPI
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def to_schema(node):
    """OpenAPI 3.0's dialect as JSON Schema; what is not described may not be there."""
    node = dict(resolve(node))
    if "properties" in node:
        node["properties"] = {k: to_schema(v) for k, v in node["properties"].items()}
        node.setdefault("additionalProperties", False)
    if isinstance(node.get("additionalProperties"), dict):
        node["additionalProperties"] = to_schema(node["additionalProperties"])
    if "items" in node:
        node["items"] = to_schema(node["items"])
    if "oneOf" in node:
        node["oneOf"] = [to_schema(n) for n in node["oneOf"]]
    if node.pop("nullable", False):
        node["type"] = [node["type"], "null"]
    return node


def find_path(path):
    for template in OPENAPI["paths"]:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return template
    return None


def check(method, path, reply, body):
    """The reply is one that the document promises."""
    template = find_path(path)
    assert template, f"{path} is not in openapi.yaml"
    operation = OPENAPI["paths"][template]["get" if method == "HEAD" else method.lower()]
    assert str(reply.status_code) in operation["responses"], \
        f"{method} {path}: {reply.status_code} is not documented: {body[:500]}"
    seen.add((method.lower(), template, reply.status_code))
    response = resolve(operation["responses"][str(reply.status_code)])
    for name, header in response.get("headers", {}).items():
        assert name in reply.headers, f"{method} {path}: no {name}"
        value = reply.headers[name]
        schema = to_schema(resolve(header)["schema"])
        jsonschema.validate(int(value) if schema["type"] == "integer" else value, schema)
    content = response.get("content", {})
    if not content or method == "HEAD":
        assert body == b""
        return
    kind = reply.headers["Content-Type"].split(";")[0]
    assert kind in content, f"{method} {path}: {kind}"
    if kind == "application/json":
        value = json.loads(body)
        jsonschema.validate(value, to_schema(content[kind]["schema"]))
        if "error" in value:
            assert reply.headers["X-Mayfly-Error"] == value["error"]["code"]
            assert value["error"]["request_id"] == reply.headers["X-Mayfly-Request-Id"]
    elif kind == "application/x-ndjson":
        for line in body.splitlines():
            jsonschema.validate(json.loads(line), to_schema(content[kind]["schema"]))


# --- the controller ------------------------------------------------------------------------

class Controller:
    def __init__(self, folder, **settings):
        self.folder = pathlib.Path(folder)
        self.settings = {
            "name": "c1", "rest.host": "127.0.0.1", "rest.port": 0, "hub.host": "127.0.0.1",
            "hub.port": 0, "state_dir": self.folder / "state", "settle": "100ms",
            "hub.heartbeat": "1s", "hub.resume": "1s", "log.format": "json",
            "log.level": "debug", "advertise_url": "http://10.0.0.1:8090",
            **{k.replace("__", "."): v for k, v in settings.items()},
        }
        self.process = None
        self.session = requests.Session()
        self.starts = 0

    def command(self):
        args = [f"{k}={v}" for k, v in self.settings.items()]
        return [str(PREFIX / "bin" / "mayfly-controller"),
                *(a for s in args for a in ("--set", s))]

    def log(self):
        text = (self.folder / f"log-{self.starts}").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def start(self, ready=True):
        self.starts += 1
        with open(self.folder / f"log-{self.starts}", "wb") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)

        def listening():
            assert self.process.poll() is None, self.log()
            return next((e for e in self.log() if e["msg"] == "listening"), None)

        entry = wait_for("the controller", listening)
        self.port, self.hub_port = entry["rest_port"], entry["hub_port"]
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self):
        wait_for("readiness", lambda: self.call("GET", "/readyz").status_code == 200)

    def call(self, method, path, body=None, expect=None, **kw):
        """A request whose reply is checked against the document; body: JSON, or bytes."""
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "__next__"):
            kw.setdefault("headers", {}).setdefault("Content-Type", "application/json")
            body = json.dumps(body).encode()
        reply = self.session.request(method, f"http://127.0.0.1:{self.port}{path}", data=body,
                                     timeout=kw.pop("timeout", 30), **kw)
        check(method, path.split("?")[0], reply, reply.content)
        if expect is not None:
            assert reply.status_code == expect, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply

    def error(self, status, method, path, body=None, code=None, field=None, **kw):
        reply = self.call(method, path, body, expect=status, **kw)
        error = reply.json()["error"]
        if code is not None:
            assert error["code"] == code, error
        if field is not None:
            assert error.get("field") == field, error
        return error

    def raw(self, data):
        """All that comes back for these bytes, until the controller closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def upload(self, data, format="file", file_name="run.sh", expect=201):
        digest = hashlib.sha256(data).hexdigest()
        query = f"?format={format}" + (f"&file_name={file_name}" if format == "file" else "")
        reply = self.call("PUT", f"/v1/packages/{digest}{query}", data)
        assert reply.status_code in (expect, 200), reply.text
        package = {"digest": digest, "format": format}
        return {**package, "file_name": file_name} if format == "file" else package

    def deploy(self, name, ns="default", package=None, expect=None, headers=None, **spec):
        package = package or self.upload(b"#!/bin/sh\necho hi\n")
        spec = {"runtime": "exec", "handler": "run.sh", **spec}
        reply = self.call("PUT", f"/v1/namespaces/{ns}/functions/{name}",
                          {"spec": spec, "package": package}, headers=dict(headers or {}))
        assert reply.status_code in ((expect,) if expect else (200, 201)), reply.text
        return reply.json()

    def agent(self, node, **kw):
        return Agent(self.hub_port, node, **kw)

    def stop(self, within=10):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(within) == 0, self.log()[-5:]
            finally:
                self.process.kill()
                self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One with the SQLite store, for all tests that leave it usable."""
    controller = Controller(tmp_path_factory.mktemp("api"), **{"packages__max_bytes": "1Mi"})
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def make(tmp_path):
    made = []

    def make_one(**settings):
        folder = tmp_path / f"c{len(made)}"
        folder.mkdir()
        made.append(Controller(folder, **settings))
        return made[-1]

    yield make_one
    for controller in made:
        controller.stop()


class Etcd:
    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            b.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{a.getsockname()[1]}"
            self.peer = f"http://127.0.0.1:{b.getsockname()[1]}"
        self.process = None

    def start(self):
        with open(self.folder / "etcd.log", "ab") as log:
            self.process = subprocess.Popen(
                ["etcd", "--data-dir", self.folder / "etcd", "--listen-client-urls", self.url,
                 "--advertise-client-urls", self.url, "--listen-peer-urls", self.peer,
                 "--initial-advertise-peer-urls", self.peer,
                 "--initial-cluster", f"default={self.peer}"], stdout=log, stderr=log)

        def healthy():
            try:
                return requests.get(f"{self.url}/health", timeout=2).ok
            except requests.RequestException:
                return False

        wait_for("etcd", healthy)
        return self

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def etcd(tmp_path):
    if shutil.which("etcd") is None:
        pytest.skip("there is no etcd on this machine")
    server = Etcd(tmp_path)
    yield server
    server.stop()


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


FUNCTIONS = "/v1/namespaces/default/functions"


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
        allowed = {m.upper() for m in item if m in ("get", "put", "delete")}
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
    data = b"x" * ((1 << 20) + 1)
    path = f"/v1/packages/{hashlib.sha256(data).hexdigest()}?format=file&file_name=a"
    shared.error(413, "PUT", path, data, code="payload_too_large")
    shared.error(413, "PUT", path, iter([data[:700000], data[700000:]]), code="payload_too_large")


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


def test_large_packages_have_back_pressure(make):
    """A reader that does not read costs the controller no memory to speak of."""
    controller = make().start()
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


def test_disk_full_leaves_nothing(make):
    controller = make()
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
        controller.stop()
        run(["umount", state])


def test_unused_packages_go(make):
    controller = make(packages__grace="300ms").start()
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


def test_waiting_for_a_version(make):
    controller = make().start()
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


# --- nodes ---------------------------------------------------------------------------------

def test_nodes(make):
    controller = make().start()
    assert controller.call("GET", "/v1/nodes").json() == {"items": []}
    controller.error(404, "GET", "/v1/nodes/n1")
    agent = controller.agent("n1", memory=1 << 30)
    assert agent.welcome["packages_url"] == "http://10.0.0.1:8090"
    wait_for("the node", lambda: controller.call("GET", "/v1/status").json()["nodes"]["ready"] == 1)
    agent.report(memory_reserved_bytes=128 << 20, instances=1)

    def reported():
        node = controller.call("GET", "/v1/nodes/n1", expect=200).json()
        return node if node["memory"]["reserved_bytes"] == 128 << 20 else None

    node = wait_for("its report", reported)
    assert (node["state"], node["gateway"]) == ("ready", "n1.test:8080")
    assert node["labels"] == {"zone": "a"} and node["cpu_millis"] == 4000
    assert node["memory"]["capacity_bytes"] == 1 << 30
    agent.wait(lambda m: "snapshot_end" in m)
    agent.close()
    wait_for("the node to be lost", lambda: [n["state"] for n in controller.call(
        "GET", "/v1/nodes").json()["items"]] in ([], ["lost"]))
    assert 'mayfly_nodes{state="ready"} 0' in controller.call("GET", "/metrics").text


def test_join_token(make, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    controller = make(token_file=token).start()
    assert controller.agent("n1", token="wrong").refused["cause"] == "unauthorized"
    agent = controller.agent("n1", token="s3cret")
    assert agent.welcome
    agent.close()


def test_garbage_on_the_hub(make):
    controller = make().start()
    agent = controller.agent("n1")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x00\x00\x00\x02\x08"):
        with socket.create_connection(("127.0.0.1", controller.hub_port), timeout=15) as s:
            s.sendall(junk)
            if junk[0]:
                try:
                    assert s.recv(100) == b""
                except ConnectionResetError:
                    pass
    agent.send(version_report={"namespace": "no such", "name": "../..", "version": 1,
                               "ready": False, "cause": "nonsense"})
    agent.report(instances=3)
    wait_for("the report", lambda: controller.call("GET", "/v1/nodes/n1").json()["instances"] == 3)
    agent.close()


# --- logs ----------------------------------------------------------------------------------

def lines(*texts, version=1, start=1000):
    return [{"wall_ms": start + i, "version": version, "instance": "1", "stream": "stdout",
             "text": t if isinstance(t, bytes) else t.encode()} for i, t in enumerate(texts)]


def request_of(agent):
    return agent.wait(lambda m: m.get("log_request"))


def acks(agent):
    return sum("log_ack" in m for m in agent.messages)


@pytest.fixture
def logging(make):
    controller = make().start()
    controller.deploy("f")
    agents = [controller.agent(f"n{i}") for i in (1, 2)]
    yield controller, *agents
    for agent in agents:
        agent.close()


def test_logs_are_merged(logging):
    controller, a, b = logging
    reading = Background(controller.call, "GET", f"{FUNCTIONS}/f/logs?tail=5&version=1")
    request = request_of(a)
    assert (request["namespace"], request["name"], request["tail"], request["version"]) == (
        "default", "f", 5, 1)
    assert not request.get("follow")
    a.send(log_chunk={"id": request["id"], "lines": lines("a1", "a2", start=10)})
    b.send(log_chunk={"id": request_of(b)["id"], "end": True,
                      "lines": lines(b"b\xff1", start=11) + lines("b2", start=50)})
    a.wait(lambda m: m.get("log_ack"))
    a.send(log_chunk={"id": request["id"], "lines": lines("a3", start=40), "end": True})
    got = [json.loads(line) for line in reading.result().content.splitlines()]
    assert [(x["node"], x["text"]) for x in got] == [
        ("n1", "a1"), ("n1", "a2"), ("n2", "b\ufffd1"), ("n1", "a3"), ("n2", "b2")]
    assert got[0]["ts"] == "1970-01-01T00:00:00.010Z"


def test_a_silent_node_is_passed_over(logging):
    controller, a, b = logging
    reading = Background(controller.call, "GET", f"{FUNCTIONS}/f/logs")
    a.send(log_chunk={"id": request_of(a)["id"], "lines": lines("here"), "end": True})
    got = [json.loads(line) for line in reading.result().content.splitlines()]
    assert sorted((x["node"], x["stream"]) for x in got) == [("n1", "stdout"), ("n2", "system")]


def test_a_node_that_leaves_ends_its_part(logging):
    controller, a, b = logging
    reading = Background(controller.call, "GET", f"{FUNCTIONS}/f/logs")
    a.send(log_chunk={"id": request_of(a)["id"], "lines": lines("here"), "end": True})
    request_of(b)
    b.close()
    got = [json.loads(line) for line in reading.result().content.splitlines()]
    assert [x["text"] for x in got if x["node"] == "n1"] == ["here"]
    assert [x["stream"] for x in got if x["node"] == "n2"] == ["system"]


def test_following(logging):
    controller, a, b = logging
    with requests.get(f"http://127.0.0.1:{controller.port}{FUNCTIONS}/f/logs?follow=1",
                      stream=True, timeout=20) as reply:
        assert reply.headers["Content-Type"] == "application/x-ndjson"
        stream = reply.iter_lines(chunk_size=1)
        request = request_of(a)
        assert request["follow"]
        a.send(log_chunk={"id": request["id"], "lines": lines("old")})
        assert json.loads(next(stream))["text"] == "old"
        a.wait(lambda m: m.get("log_ack"))
        a.send(log_chunk={"id": request["id"], "lines": lines("new", start=5000)})
        assert json.loads(next(stream))["text"] == "new"
        late = controller.agent("n3")  # joins while the log is followed
        late.send(log_chunk={"id": request_of(late)["id"], "lines": lines("late", start=6000)})
        assert json.loads(next(stream))["text"] == "late"
    for agent in (a, b, late):
        assert agent.wait(lambda m: m.get("log_cancel"))["id"] == request["id"]
    late.close()


def test_a_slow_reader_holds_the_agents_back(logging):
    controller, a, b = logging
    text = "x" * 30000
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", controller.port))
        s.sendall(f"GET {FUNCTIONS}/f/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        request = request_of(a)
        b.send(log_chunk={"id": request_of(b)["id"], "end": True})
        sent = 0
        while sent <= acks(a) and sent < 2000:
            a.send(log_chunk={"id": request["id"], "lines": lines(*[text] * 4, start=1000 + 10 * sent)})
            sent += 1
            try:
                count = acks(a)
                a.wait(lambda m: acks(a) > count, timeout=2)
            except AssertionError:
                break
        assert sent < 2000, "acknowledged without end although nobody reads"
        held = acks(a)
        received = 0
        while acks(a) == held:
            received += len(s.recv(1 << 20))
        assert received > 0
    a.wait(lambda m: m.get("log_cancel"))


def test_log_errors(logging):
    controller, a, b = logging
    controller.error(404, "GET", f"{FUNCTIONS}/nobody/logs")
    controller.error(404, "GET", f"{FUNCTIONS}/f/logs?version=9")
    for query, field in (("follow=maybe", "follow"), ("tail=0", "tail"), ("tail=x", "tail"),
                         ("version=0", "version")):
        controller.error(400, "GET", f"{FUNCTIONS}/f/logs?{query}", field=field)
    controller.call("HEAD", f"{FUNCTIONS}/f/logs", expect=200)


# --- bad days ------------------------------------------------------------------------------

def snapshot(controller):
    def without_time(value):
        if isinstance(value, dict):
            return {k: without_time(v) for k, v in value.items() if k != "last_seen_ms"}
        return [without_time(v) for v in value] if isinstance(value, list) else value

    return [without_time(controller.call("GET", path, expect=200).json())
            for path in ("/v1/namespaces", "/v1/namespaces/-/functions")]


@pytest.mark.parametrize("engine", ["sqlite", "etcd"])
def test_killed_and_back_it_knows_everything(make, engine, request):
    settings = {}
    if engine == "etcd":
        settings = {"store__engine": "etcd", "store__endpoints": request.getfixturevalue("etcd").start().url}
    controller = make(**settings).start()
    controller.call("PUT", "/v1/namespaces/team", expect=201)
    for i in range(3):
        controller.deploy(f"f{i}", ns="team")
    controller.deploy("f0", ns="team")
    last = controller.deploy("g")
    controller.kill()  # at once after the reply
    before = None
    controller.start()
    before = snapshot(controller)
    assert [f["name"] for f in before[1]["items"]] and len(before[1]["items"]) == 4
    assert controller.call("GET", f"{FUNCTIONS}/g").json()["revision"] == last["revision"]
    assert controller.call("GET", f"/v1/packages/{last['package']['digest']}", expect=200)
    controller.kill()
    controller.start()
    assert snapshot(controller) == before
    assert controller.deploy("f0", ns="team")["latest_version"] == 3


def test_killed_while_deploying_nothing_acknowledged_is_lost(make):
    controller = make().start()
    package = controller.upload(b"x")
    acknowledged = []

    def deploy_on():
        session = requests.Session()
        for i in range(10000):
            try:
                reply = session.put(f"http://127.0.0.1:{controller.port}{FUNCTIONS}/f{i}",
                                    json={"spec": {}, "package": package}, timeout=10)
            except requests.RequestException:
                return
            if reply.ok:
                acknowledged.append(f"f{i}")

    deploying = Background(deploy_on)
    wait_for("some deploys", lambda: len(acknowledged) > 20)
    controller.kill()
    deploying.result()
    controller.start()
    there = {f["name"] for f in controller.call("GET", FUNCTIONS).json()["items"]}
    assert set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + 1


def test_store_gone_and_back(make, etcd):
    controller = make(store__engine="etcd", store__endpoints=etcd.start().url).start()
    function = controller.deploy("f")
    agent = controller.agent("n1")
    agent.wait(function_message("f"))
    etcd.stop()
    wait_for("the loss to be noticed", lambda: controller.call("GET", "/readyz").status_code == 503)
    assert controller.call("GET", "/healthz", expect=200)
    assert controller.call("GET", "/v1/status").json()["store"] == {"engine": "etcd", "up": False}
    assert controller.call("GET", f"{FUNCTIONS}/f", expect=200).json()["revision"] == function["revision"]
    body = {"spec": {}, "package": {k: function["package"][k] for k in ("digest", "format", "file_name")}}
    error = controller.error(503, "PUT", f"{FUNCTIONS}/f", body, code="store_unavailable", timeout=60)
    assert error["message"]
    assert "mayfly_store_up 0" in controller.call("GET", "/metrics").text
    assert not agent.closed
    etcd.start()
    controller.wait_ready()
    again = wait_for("deploys", lambda: controller.call("PUT", f"{FUNCTIONS}/f", body).status_code == 200)
    assert again
    agent.wait(function_message("f", lambda f: any(v["number"] >= 2 for v in f["versions"])))
    agent.close()


def test_store_not_there_at_the_start(make, etcd):
    controller = make(store__engine="etcd", store__endpoints=etcd.url).start(ready=False)
    assert controller.call("GET", "/healthz", expect=200)
    controller.error(503, "GET", "/readyz", code="store_unavailable")
    controller.error(503, "GET", FUNCTIONS, code="store_unavailable")
    assert controller.call("GET", "/v1/status", expect=200).json()["store"]["up"] is False
    assert controller.agent("n1").refused["cause"] == "store_unavailable"
    etcd.start()
    controller.wait_ready()
    controller.deploy("f")
    assert any(e["msg"] == "the store does not answer" for e in controller.log())


def test_memory_engine(make):
    controller = make(store__engine="memory").start()
    controller.deploy("f")
    assert controller.call("GET", "/v1/status").json()["functions"] == 1


def test_ends_in_order(make):
    """SIGTERM: what waits is answered, what streams ends, the exit status is 0."""
    controller = make().start()
    controller.deploy("f")
    agent = controller.agent("n1")
    waiting = socket.create_connection(("127.0.0.1", controller.port), timeout=20)
    waiting.sendall(f"GET {FUNCTIONS}/f/versions/1?wait_ms=60000 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    following = Background(requests.get, f"http://127.0.0.1:{controller.port}"
                           f"{FUNCTIONS}/f/logs?follow=1", timeout=30)
    request_of(agent)
    started = time.monotonic()
    controller.stop(within=8)
    assert time.monotonic() - started < 5
    assert following.result().status_code == 200
    answer = b"".join(iter(lambda: waiting.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"state":"deploying"' in answer
    waiting.close()
    agent.wait_closed()


# --- program -------------------------------------------------------------------------------

def program(*args):
    return run([PREFIX / "bin" / "mayfly-controller", *args], check=False)


def test_options(tmp_path):
    assert program("--version").stdout.startswith("mayfly-controller ")
    assert program("--help").stdout.startswith("Examples:")
    assert "store.endpoints" in program("--help").stdout
    for bad in (["--nonsense"], ["file"], ["--set", "rest.prot=1"], ["--set", "store.engine=redis"],
                ["--set", "store.engine=etcd"], ["--set", "state_dir=relative"],
                ["--set", "advertise_url=ftp://x"], ["--set", "log.level=loud"],
                ["--set", "hub.heartbeat=1ms"]):
        result = program("--check-config", *bad)
        assert result.returncode == 2 and result.stderr and not result.stdout, bad
    config = tmp_path / "controller.yaml"
    config.write_text("rest:\n  port: 0\n  prot: 1\n")
    result = program("--config", config, "--check-config")
    assert result.returncode == 2 and f"{config}:3: rest.prot" in result.stderr
    config.write_text("store:\n  engine: memory\nsettle: 1s\n")
    assert program("--config", config, "--check-config").returncode == 0


def test_cannot_start_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for key in ("rest", "hub"):
            other = "hub" if key == "rest" else "rest"
            result = program("--set", f"{key}.port={port}", "--set", f"{key}.host=127.0.0.1",
                             "--set", f"{other}.port=0", "--set", f"state_dir={tmp_path}/{key}",
                             "--set", "log.format=json")
            assert result.returncode == 1
            error = [json.loads(x) for x in result.stderr.splitlines() if "cannot start" in x]
            assert key in error[0]["error"], result.stderr


def test_every_operation_was_checked():
    """Runs last: no operation of the document has gone without a checked reply."""
    called = {(method, path) for method, path, _ in seen}
    for path, item in OPENAPI["paths"].items():
        for method in item:
            if method in ("get", "put", "delete"):
                assert (method, path) in called, f"{method} {path}"
