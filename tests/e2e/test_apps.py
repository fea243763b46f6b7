"""HTTP frameworks as they are, as `http` functions: express, fastify, hono, Google's functions
framework, Flask under gunicorn. Each is deployed as its authors' first example has it."""

import base64
import json
import subprocess
import time
import uuid

import npm
import pytest
from lib import Connection, wait_for

# Each answers
#   GET  /env       what of the platform's environment it sees
#   ANY  /echo?...  method, target, headers and body as it got them, status 201
#   POST /upload    {"got": bytes} of each piece of the body as it comes, as a stream
#   GET  /stream    "first\n", then "second\n" once somebody has posted to /go
#   POST /go
#   GET  /events    the same as server-sent events
# and prints "goodbye" when it is told to stop.
NODE_COMMON = """
const { EventEmitter } = require('events');
const going = new EventEmitter();
exports.env = () => Object.fromEntries(['PORT', 'K_SERVICE', 'K_REVISION', 'K_CONFIGURATION']
  .map((name) => [name, process.env[name]]));
exports.echo = (req, body) => ({ method: req.method, url: req.url, headers: req.headers,
                                 body: Buffer.from(body || '').toString('base64') });
exports.go = () => going.emit('go');
exports.stream = (write, end) => {
  write('first\\n');
  going.once('go', () => { write('second\\n'); end(); });
};
exports.events = (write, end) => {
  write('id: 1\\ndata: first\\n\\n');
  going.once('go', () => { write('id: 2\\ndata: second\\n\\n'); end(); });
};
exports.upload = (req, write, end) => {
  req.on('data', (data) => write(`${data}\\n`));
  req.on('end', end);
};
process.on('SIGTERM', () => { console.log('goodbye'); process.exit(0); });
"""

EXPRESS = """
const express = require('express');
const common = require('./common');
const app = express();
app.get('/env', (req, res) => res.json(common.env()));
app.all('/echo', express.raw({ type: '*/*' }), (req, res) => {
  req.url = req.originalUrl;
  res.status(201).set('X-App', 'express').cookie('a', '1').cookie('b', '2')
    .json(common.echo(req, Buffer.isBuffer(req.body) ? req.body : ''));
});
app.post('/go', (req, res) => res.json(common.go()));
app.get('/stream', (req, res) => common.stream((s) => res.write(s), () => res.end()));
app.get('/events', (req, res) => {
  res.set('Content-Type', 'text/event-stream').flushHeaders();
  common.events((s) => res.write(s), () => res.end());
});
app.post('/upload', (req, res) => common.upload(req, (s) => res.write(s), () => res.end()));
app.listen(process.env.PORT);
"""

FASTIFY = """
const { PassThrough } = require('stream');
const fastify = require('fastify')();
const common = require('./common');
fastify.removeAllContentTypeParsers();
fastify.addContentTypeParser('*', (request, payload, done) => done(null, payload));
const whole = async (stream) => {
  const parts = [];
  for await (const part of stream || []) parts.push(part);
  return Buffer.concat(parts);
};
const streamed = (reply, start, type = 'text/plain') => {
  const out = new PassThrough();
  start((s) => out.write(s), () => out.end());
  return reply.type(type).send(out);
};
fastify.get('/env', async () => common.env());
fastify.all('/echo', async (request, reply) => reply.code(201)
  .header('X-App', 'fastify').header('Set-Cookie', ['a=1', 'b=2'])
  .send(common.echo(request.raw, await whole(request.body))));
fastify.post('/go', async () => ({ went: common.go() }));
fastify.get('/stream', (request, reply) => streamed(reply, common.stream));
fastify.get('/events', (request, reply) => streamed(reply, common.events, 'text/event-stream'));
fastify.post('/upload', (request, reply) =>
  streamed(reply, (write, end) => common.upload(request.raw, write, end)));
fastify.listen({ port: Number(process.env.PORT), host: '0.0.0.0' });
"""

HONO = """
const { Hono } = require('hono');
const { stream, streamSSE } = require('hono/streaming');
const { serve } = require('@hono/node-server');
const common = require('./common');
const app = new Hono();
const started = (start) => (s) => new Promise((done) => {
  start((text) => s.write(text), done);
});
app.get('/env', (c) => c.json(common.env()));
app.all('/echo', async (c) => {
  const body = await c.req.arrayBuffer();
  c.header('X-App', 'hono');
  c.header('Set-Cookie', 'a=1');
  c.header('Set-Cookie', 'b=2', { append: true });
  return c.json(common.echo(c.env.incoming, Buffer.from(body)), 201);
});
app.post('/go', (c) => c.json(common.go()));
app.get('/stream', (c) => stream(c, started(common.stream)));
app.get('/events', (c) => { c.header('Content-Type', 'text/event-stream'); return stream(c, started(common.events)); });
app.post('/upload', (c) => stream(c, async (s) => {
  const text = new TextDecoder();
  for await (const part of c.req.raw.body) await s.write(`${text.decode(part)}\\n`);
}));
serve({ fetch: app.fetch, port: Number(process.env.PORT) });
"""

FUNCTIONS = """
const functions = require('@google-cloud/functions-framework');
const common = require('./common');
functions.http('app', (req, res) => {
  switch (req.path) {
    case '/env': return res.json(common.env());
    case '/echo': return res.status(201).set('X-App', 'functions').cookie('a', '1').cookie('b', '2')
        .json(common.echo(req, req.rawBody));
    case '/go': return res.json({ went: common.go() });
    case '/stream': return common.stream((s) => res.write(s), () => res.end());
    case '/events': res.set('Content-Type', 'text/event-stream').flushHeaders();
      return common.events((s) => res.write(s), () => res.end());
    default: return res.sendStatus(404);
  }
});
functions.cloudEvent('events', (event) => {
  console.log(JSON.stringify({ id: event.id, type: event.type, source: event.source,
                               subject: event.subject, data: event.data }));
  if (event.data && event.data.fail) throw new Error('as asked');
});
"""

FLASK = """
import base64, json, os, threading
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
go = threading.Event()

@app.get("/env")
def env():
    return jsonify({n: os.environ.get(n) for n in ("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION")})

@app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo():
    response = jsonify({"method": request.method, "url": request.full_path if request.query_string else request.path,
                        "headers": {k.lower(): v for k, v in request.headers},
                        "body": base64.b64encode(request.get_data()).decode()})
    response.status_code = 201
    response.headers["X-App"] = "flask"
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response

@app.post("/go")
def start():
    go.set()
    return "{}"

def after(first, second):
    go.clear()
    yield first
    go.wait(60)
    yield second

@app.get("/stream")
def stream():
    return Response(after("first\\n", "second\\n"), mimetype="text/plain")

@app.get("/events")
def events():
    return Response(after("id: 1\\ndata: first\\n\\n", "id: 2\\ndata: second\\n\\n"), mimetype="text/event-stream")

@app.post("/upload")
def upload():
    body = request.stream
    def pieces():
        while data := body.readline():
            yield data + b"\\n"
    return Response(pieces(), mimetype="text/plain")
"""

GUNICORN_CONF = """
import os
bind = f"127.0.0.1:{os.environ['PORT']}"
worker_class = "gthread"
threads = 8
worker_tmp_dir = "/tmp"
def on_exit(server):
    print("goodbye", flush=True)
"""

NODE_APPS = {
    "express": (EXPRESS, ["express@5.3.0"]),
    "fastify": (FASTIFY, ["fastify@4.29.1"]),
    "hono": (HONO, ["hono@4.13.19", "@hono/node-server@1.19.19"]),
    "functions": (FUNCTIONS, ["@google-cloud/functions-framework@5.0.5"]),
}
APPS = ["express", "fastify", "hono", "functions", "flask"]
FRAMEWORK = "node_modules/@google-cloud/functions-framework/build/src/main.js"
YAML = "runtime: http\nhandler: {handler}\nconcurrency: 8\ntimeout: 2m\ninit-timeout: 60s\nmemory: 256\n"


def flask_folder(folder):
    if subprocess.run(["/usr/bin/python3", "-c", "import flask, gunicorn"], capture_output=True).returncode:
        pytest.skip("python3-flask and gunicorn are not installed")
    (folder / "app.py").write_text(FLASK)
    (folder / "gunicorn.conf.py").write_text(GUNICORN_CONF)
    (folder / "function.yaml").write_text(YAML.format(handler="/usr/bin/gunicorn app:app"))


def node_folder(folder, kind, target=None):
    text, packages = NODE_APPS[kind]
    subprocess.run(["cp", "-r", npm.installed(*packages) / "node_modules", folder], check=True)
    (folder / "common.js").write_text(NODE_COMMON)
    (folder / "index.js").write_text(text)
    handler = "node index.js"
    if kind == "functions":
        kind_of = "cloudevent" if target == "events" else "http"
        handler = f"node {FRAMEWORK} --target={target or 'app'} --signature-type={kind_of}"
    (folder / "function.yaml").write_text(YAML.format(handler=handler))


@pytest.fixture(scope="module")
def app(dev, tmp_path_factory):
    """app("express") deploys it, once, and gives its function's name."""
    made = {}

    def deploy(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(f"app-{kind}")
            if kind == "flask":
                flask_folder(folder)
            else:
                node_folder(folder, kind)
            dev.deploy(folder, f"app-{kind}")
            made[kind] = f"app-{kind}"
        return made[kind]

    return deploy


class Stream:
    """A reply that is read as it comes."""

    def __init__(self, dev, method, target, headers=()):
        self.connection = Connection(dev.network(), 8080)
        self.connection.putrequest(method, target)
        for name, value in dict(headers).items():
            self.connection.putheader(name, value)
        self.connection.endheaders()

    def send(self, data):
        self.connection.send(b"%x\r\n%s\r\n" % (len(data), data))

    def response(self):
        self.reply = self.connection.getresponse()
        return self.reply

    def until(self, end):
        text = b""
        while not text.endswith(end):
            piece = self.reply.read1(1)
            assert piece, text
            text += piece
        return text


@pytest.mark.parametrize("kind", APPS)
def test_the_environment(dev, app, kind):
    name = app(kind)
    env = dev.call(name, path="/env").json()
    assert env["K_SERVICE"] == env["K_CONFIGURATION"] == name
    assert env["K_REVISION"] and env["PORT"].isdigit()


# Request and reply as they are: method, target, headers, body; status, headers, two cookies.
@pytest.mark.parametrize("kind", APPS)
@pytest.mark.parametrize("method,body", [("GET", None), ("POST", bytes(range(256))), ("PUT", b""),
                                         ("DELETE", None), ("PATCH", b"x" * 100_000)])
def test_an_exchange(dev, app, kind, method, body):
    reply = dev.call(app(kind), body, path="/echo?a=1&b=%20c", method=method,
                     headers={"Content-Type": "application/octet-stream", "X-Own": "Zo\u00eb".encode("latin-1"),
                              "X-Forwarded-For": "192.0.2.7", "Host": "shop.example:8080"})
    assert reply.status == 201 and reply.headers["X-App"] == kind, reply
    assert [c.split(";")[0] for c in reply.headers.get_all("Set-Cookie")] == ["a=1", "b=2"]
    seen = reply.json()
    assert (seen["method"], seen["url"]) == (method, "/echo?a=1&b=%20c")
    assert base64.b64decode(seen["body"]) == (body or b"")
    headers = seen["headers"]
    assert headers["host"] == "shop.example:8080"
    assert headers["x-forwarded-for"] == "192.0.2.7, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "shop.example:8080"
    assert 'for=127.0.0.1;host="shop.example:8080";proto=http' in headers["forwarded"]
    assert headers["x-own"] in ("Zo\u00eb", "Zo\u00c3\u00ab")
    assert headers["x-mayfly-request-id"] == reply.headers["X-Mayfly-Request-Id"]


# The first piece is here before the second is made.
@pytest.mark.parametrize("kind", APPS)
def test_a_reply_streams(dev, app, kind):
    name = app(kind)
    stream = Stream(dev, "GET", f"/fn/{name}/stream")
    assert stream.response().status == 200
    assert stream.until(b"\n") == b"first\n"
    assert dev.call(name, b"", path="/go").status == 200
    assert stream.reply.read() == b"second\n"


@pytest.mark.parametrize("kind", APPS)
def test_events_stream(dev, app, kind):
    name = app(kind)
    stream = Stream(dev, "GET", f"/fn/{name}/events", {"Accept": "text/event-stream"})
    reply = stream.response()
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert stream.until(b"\n\n") == b"id: 1\ndata: first\n\n"
    assert dev.call(name, b"", path="/go").status == 200
    assert stream.until(b"\n\n") == b"id: 2\ndata: second\n\n"
    assert reply.read() == b""


# A piece of the body is with the app, and its answer here, before the next piece is sent. The
# functions framework reads bodies whole, wherever it runs.
@pytest.mark.parametrize("kind", [k for k in APPS if k != "functions"])
def test_a_request_streams(dev, app, kind):
    stream = Stream(dev, "POST", f"/fn/{app(kind)}/upload",
                    {"Transfer-Encoding": "chunked", "Content-Type": "text/plain"})
    one, two = b"1" * 1023 + b"\n", b"2" * 1023 + b"\n"  # gunicorn gives it out in so many bytes
    stream.send(one)
    assert stream.response().status == 200
    assert stream.until(b"\n\n") == one + b"\n"
    stream.send(two)
    assert stream.until(b"\n\n") == two + b"\n"
    stream.connection.send(b"0\r\n\r\n")
    assert stream.reply.read() == b""


# SIGTERM comes before the end, and the app has time to say goodbye.
@pytest.mark.parametrize("kind", ["express", "flask"])
def test_it_is_told_to_stop(dev, app, kind, tmp_path):
    folder = tmp_path / "stop"
    folder.mkdir()
    if kind == "flask":
        flask_folder(folder)
    else:
        node_folder(folder, kind)
    name = f"app-stop-{kind}"
    dev.deploy(folder, name, "--idle", "1s")
    assert dev.call(name, path="/env").status == 200
    wait_for("goodbye", lambda: "goodbye" in dev.mayfly("logs", name).stdout, timeout=60)


# --- CloudEvents ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def events(dev, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app-events")
    node_folder(folder, "functions", "events")
    dev.deploy(folder, "app-events")
    return "app-events"


def logged(dev, name, id_):
    for line in dev.mayfly("logs", name).stdout.splitlines():
        if id_ in line:
            return json.loads(line[line.index("{"):])
    return None


BINARY = {"Content-Type": "application/json", "ce-specversion": "1.0", "ce-type": "com.example.made",
          "ce-source": "/here", "ce-subject": "it"}


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_cloud_events(dev, events, mode):
    """Google's framework gets them as the HTTP binding has them, and answers 204."""
    id_ = str(uuid.uuid4())
    if mode == "binary":
        reply = dev.call(events, b'{"n": 1}', headers={**BINARY, "ce-id": id_})
    else:
        reply = dev.call(events, json.dumps({
            "specversion": "1.0", "id": id_, "type": "com.example.made", "source": "/here", "subject": "it",
            "datacontenttype": "application/json", "data": {"n": 1}}).encode(),
            headers={"Content-Type": "application/cloudevents+json; charset=utf-8"})
    assert reply.status == 204, reply
    event = wait_for("the event in the log", lambda: logged(dev, events, id_))
    assert event == {"id": id_, "type": "com.example.made", "source": "/here", "subject": "it", "data": {"n": 1}}


def test_an_event_that_fails(dev, events):
    reply = dev.call(events, b'{"fail": true}', headers={**BINARY, "ce-id": "1"})
    assert reply.status == 500 and reply.cause is None  # the framework's own word
    reply = dev.call(events, b'{"fail": false}', headers={**BINARY, "ce-id": "2"})
    assert reply.status == 204


# Attributes and data arrive unchanged, whatever their mode and the event's own names.
@pytest.mark.parametrize("headers", [
    {**BINARY, "ce-id": "a%20b", "ce-time": "2026-01-01T00:00:00Z", "ce-ownattribute": "%E2%82%AC"},
    {"Content-Type": "application/cloudevents+json"},
    {"Content-Type": "application/cloudevents-batch+json"},
])
def test_events_pass_unmodified(dev, app, headers):
    body = b'[{"specversion":"1.0", "data_base64":"AP8="}]'
    seen = dev.call(app("express"), body, path="/echo", headers=headers).json()
    assert base64.b64decode(seen["body"]) == body
    for name, value in headers.items():
        assert seen["headers"][name.lower()] == value


# --- servers that go away ------------------------------------------------------------------------

ONCE = """
import os, socket, time
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    connection, _ = listener.accept()
    data = connection.recv(65536)
    if data:  # else it was asked whether the port is open
        break
listener.close()
while True:
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    length = [int(line.split(b":")[1]) for line in head.split(b"\\r\\n")
              if line.lower().startswith(b"content-length")]
    if len(body) >= sum(length):
        break
    data += connection.recv(65536)
connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
connection.close()
time.sleep(0.02)
"""


def test_a_server_that_leaves_after_its_reply(dev, package):
    """A call that finds the port closed was not taken: it is served by another instance, with its
    body, however often that happens."""
    dev.deploy(package("once", {"server.py": ONCE}), "app-once", "--runtime", "http",
               "--handler", "/usr/bin/python3 server.py")
    for i in range(20):
        body = b"%d " % i * (1 + 10_000 * (i % 3))
        reply = dev.call("app-once", body)
        assert reply.status == 200 and reply.body == body, (i, reply)


CLOSES = """
const http = require('http');
const server = http.createServer((req, res) => {
  let n = 0;
  req.on('data', (data) => { n += data.length; });
  req.on('end', () => res.end(String(n)));
});
server.keepAliveTimeout = 1000;
server.listen(process.env.PORT);
"""


def test_a_server_that_keeps_connections_for_a_second(dev, package):
    """It says so, and no call meets the end of that second."""
    dev.deploy(package("closes", {"server.js": CLOSES}), "app-closes", "--runtime", "http",
               "--handler", "node server.js", "--concurrency", "4")
    for i in range(6):
        time.sleep(0.99 + i * 0.002)
        reply = dev.call("app-closes", b"x" * i)
        assert reply.status == 200 and reply.body == b"%d" % i, (i, reply)
