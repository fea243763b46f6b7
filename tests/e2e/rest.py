"""The controller as a program with a REST API, every reply of which is checked against
docs/openapi.yaml."""

import hashlib
import json
import pathlib
import re
import socket
import subprocess

import jsonschema
import requests
import yaml
from lib import PREFIX, ROOT, wait_for
from wire import Agent

FUNCTIONS = "/v1/namespaces/default/functions"
OPENAPI = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())


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
