"""WebSockets through the gateway: real servers as functions (npm's ws, Debian's python3-websockets)
and real clients (the same two)."""

import asyncio
import json
import os
import socket
import time

import npm
import pytest
import ws
from lib import Background, Connection, Dev, connect, wait_for
from ws import closed, everything, talk, websockets

SERVERS = ["ws", "websockets"]


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """servers("ws") is the folder of a function with that server."""
    made = {}

    def make(kind):
        if kind not in made:
            made[kind] = ws.write(kind, tmp_path_factory.mktemp(f"server-{kind}"))
        return made[kind]

    return make


@pytest.fixture
def serve(dev, servers):
    def deploy(kind, name, *options):
        dev.deploy(servers(kind), name, *options)
        return name

    return deploy


def instance(client, name):
    """Who answers: each instance has its own word."""
    reply = client.call(name, path="/id")
    assert reply.status == 200, reply
    return reply.body.decode()


def metric(client, text):
    """The value of a metric's line that begins with `text`; 0 if there is none."""
    connection = Connection(client.network(), 8092)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(text))


def outcomes(client, name, outcome):
    return metric(client, f'mayfly_invocations_total{{namespace="default",function="{name}",version="1",'
                          f'trigger="http",outcome="{outcome}"}}')


# Text, binary, pings of both sides, and the server's close with its code and reason.
@pytest.mark.parametrize("kind", SERVERS)
def test_messages(dev, serve, kind):
    name = serve(kind, f"ws-messages-{kind}")
    assert talk(dev, f"/fn/{name}/", everything) == (4321, "enough")
    wait_for("the call's end", lambda: outcomes(dev, name, "ok") == 1)


# The request arrives as it was sent: path, query, subprotocol; and the client's own close.
@pytest.mark.parametrize("kind", SERVERS)
def test_the_request(dev, serve, kind):
    name = serve(kind, f"ws-request-{kind}")

    async def ask(ws):
        assert ws.subprotocol == "two"
        await ws.send("request")
        request = json.loads(await ws.recv())
        await ws.close(4000, "mine")
        assert ws.close_code == 4000
        return request, ws.response_headers

    request, reply = talk(dev, f"/fn/{name}/some/path?x=1&y=%20", ask, subprotocols=["two"],
                          extra_headers={"X-Mayfly-Forged": "1", "Cookie": "a=b"})
    headers = request["headers"]
    assert request["url"] == "/some/path?x=1&y=%20"
    assert headers["upgrade"] == "websocket" and headers["connection"].lower() == "upgrade"
    assert headers["x-forwarded-for"] == "127.0.0.1" and headers["x-forwarded-proto"] == "http"
    assert headers["cookie"] == "a=b" and "x-mayfly-forged" not in headers
    assert headers["x-mayfly-request-id"] == reply["X-Mayfly-Request-Id"]
    assert reply["X-Mayfly-Version"] == "1" and "Server-Timing" in reply
    wait_for("the call's end", lambda: outcomes(dev, name, "ok") == 1)


NODE_CLIENT = """
const WebSocket = require('ws');
const ws = new WebSocket(process.argv[2]);
const said = [];
ws.on('open', () => { ws.send('one'); ws.send(Buffer.from([0, 255])); ws.ping('p'); });
ws.on('pong', (data) => said.push(`pong ${data}`));
ws.on('message', (data, binary) => {
  said.push(binary ? [...data] : String(data));
  if (binary) ws.send('close 4002 so');
});
ws.on('close', (code, reason) => console.log(JSON.stringify({ said, code, reason: String(reason) })));
"""


def test_npms_client(dev, serve, tmp_path):
    """Which compresses messages where the server does as well."""
    name = serve("ws", "ws-npm")
    (tmp_path / "client.js").write_text(NODE_CLIENT)
    (tmp_path / "node_modules").symlink_to(npm.installed(ws.WS) / "node_modules")
    result = dev.command("node", tmp_path / "client.js", f"ws://127.0.0.1:8080/fn/{name}/")
    said = json.loads(result.stdout)
    assert said["code"] == 4002 and said["reason"] == "so"
    assert "one" in said["said"] and [0, 255] in said["said"] and "pong p" in said["said"]


@pytest.mark.parametrize("kind", SERVERS)
def test_more_than_a_body_may_be(dev, serve, kind):
    """What goes through a socket has no limit of size, and is whole in order."""
    name = serve(kind, f"ws-large-{kind}", "--body-max", "64")

    async def send_much(ws):
        for i in range(3):
            message = os.urandom(4 << 20) + bytes([i])
            await ws.send(message)
            assert await ws.recv() == message

    talk(dev, f"/fn/{name}/", send_much, compression=None)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_may_refuse(dev, serve, kind):
    name = serve(kind, f"ws-refuse-{kind}")
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        talk(dev, f"/fn/{name}/refuse", closed)
    assert refused.value.status_code == 403


@pytest.mark.parametrize("kind", SERVERS)
def test_a_socket_holds_its_slot(dev, serve, kind):
    """As long as it is open it is a call that runs: counted, and its place taken. When it has ended
    the same instance takes the next one."""
    name = serve(kind, f"ws-slot-{kind}", "--concurrency", "1", "--max-scale", "1", "--queue-timeout", "300ms")
    before = instance(dev, name)

    async def meanwhile(ws):
        await ws.send("request")
        assert json.loads(await ws.recv())["id"] == before
        assert metric(dev, "mayfly_invocations_in_flight") >= 1
        began = time.monotonic()
        reply = await asyncio.to_thread(dev.call, name, path="/id")
        return reply, time.monotonic() - began

    def seconds():
        return metric(dev, f'mayfly_invocation_duration_seconds_sum{{namespace="default",function="{name}"}}')

    spent = seconds()
    reply, open_for = talk(dev, f"/fn/{name}/", meanwhile)
    assert (reply.status, reply.cause) == (429, "queue_timeout"), reply
    # The call that waited, for a part of it, is not enough for that.
    wait_for("the time that it was open", lambda: seconds() - spent >= open_for)
    wait_for("the slot", lambda: dev.call(name, path="/id").status == 200)
    assert instance(dev, name) == before


# However it ends, the function sees its end, and the instance goes on.
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("how", ["fin", "reset", "server cuts", "server closes"])
def test_either_side_ends(dev, serve, kind, how):
    name = serve(kind, f"ws-end-{kind}-{how.replace(' ', '-')}", "--concurrency", "1", "--max-scale", "1")
    before = instance(dev, name)

    async def end(ws):
        await ws.send("here")
        assert await ws.recv() == "here"
        if how == "fin":
            ws.transport.write_eof()
        elif how == "reset":
            ws.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            ws.transport.abort()
        else:
            await ws.send("cut" if how == "server cuts" else "close 1000 bye")
        return await closed(ws)

    code, reason = talk(dev, f"/fn/{name}/", end)
    assert code == (1000 if how == "server closes" else 1006), (code, reason)
    assert instance(dev, name) == before


@pytest.mark.parametrize("kind", SERVERS)
def test_the_functions_time_ends_it(dev, serve, kind):
    """A socket lives as long as `timeout` says. It has not overrun: its instance is not killed."""
    name = serve(kind, f"ws-time-{kind}", "--timeout", "1s", "--max-scale", "1")
    before = instance(dev, name)
    assert talk(dev, f"/fn/{name}/", closed)[0] == 1006
    assert outcomes(dev, name, "timeout") == 1
    assert instance(dev, name) == before


@pytest.mark.parametrize("kind", SERVERS)
def test_a_crash_ends_it(dev, serve, kind):
    name = serve(kind, f"ws-crash-{kind}", "--max-scale", "1")
    before = instance(dev, name)

    async def die(ws):
        await ws.send("die")
        return await closed(ws)

    assert talk(dev, f"/fn/{name}/", die)[0] == 1006
    assert instance(dev, name) != before


def test_many_at_once(dev, serve):
    """Each gets its own messages; one instance holds as many as its concurrency."""
    name = serve("websockets", "ws-many", "--concurrency", "100", "--max-scale", "1")
    before = instance(dev, name)

    async def one(i, ready):
        sock = connect(dev.network(), 8080)
        sock.setblocking(False)
        async with websockets.connect(f"ws://127.0.0.1:8080/fn/{name}/", sock=sock, open_timeout=60,
                                      close_timeout=60) as ws:
            await ready.wait()
            for n in range(20):
                await ws.send(f"{i}/{n}")
                assert await ws.recv() == f"{i}/{n}"
            await ws.send("request")
            return json.loads(await ws.recv())["id"]

    async def main():
        ready = asyncio.Event()
        tasks = [asyncio.create_task(one(i, ready)) for i in range(50)]
        await asyncio.sleep(0)
        ready.set()
        return set(await asyncio.gather(*tasks))

    assert asyncio.run(main()) == {before}


HANDSHAKE = ("GET {path} HTTP/1.1\r\nHost: mayfly\r\nConnection: keep-alive, Upgrade\r\n"
             "Upgrade: {protocol}\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        some = sock.recv(65536)
        assert some, data
        data += some
    return data.split(b"\r\n\r\n", 1)


def test_an_agent_that_stops(new_folder, servers):
    """It tells the server, which says goodbye to its clients."""
    client = Dev(new_folder("ws-stop"), name=f"mf-ws-{os.getpid()}")
    client.start()
    try:
        client.deploy(servers("websockets"), "ws-stop")

        async def going(ws):
            await ws.send("here")
            await ws.recv()
            stopping = Background(client.mayfly, "dev", "stop")
            code = await closed(ws)
            await asyncio.to_thread(stopping.result)
            return code

        assert talk(client, "/fn/ws-stop/", going)[0] == 1001
    finally:
        client.stop()


# Those who do not switch protocols answer as ever, and HTTP within HTTP is not asked for.
def test_an_upgrade_may_be_overlooked(dev, serve, package):
    dev.deploy(package("ws-exec", {"run.sh": "#!/bin/sh\ncat; env\n"}), "ws-exec", "--runtime", "exec",
               "--handler", "run.sh")
    with connect(dev.network(), 8080) as sock:
        sock.sendall(HANDSHAKE.format(path="/fn/ws-exec", protocol="websocket").encode())
        assert head(sock)[0].startswith(b"HTTP/1.1 200 ")
    name = serve("websockets", "ws-h2c")
    with connect(dev.network(), 8080) as sock:
        sock.sendall(HANDSHAKE.format(path=f"/fn/{name}/", protocol="websocket, h2c").encode())
        assert head(sock)[0].startswith(b"HTTP/1.1 426 ")
    with connect(dev.network(), 8080) as sock:  # what is sent with the request is the server's to read
        frame = bytes([0x81, 0x82, 0, 0, 0, 0]) + b"hi"
        sock.sendall(HANDSHAKE.format(path=f"/fn/{name}/", protocol="websocket").encode() + frame)
        begin, rest = head(sock)
        assert begin.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in begin
        while len(rest) < 4:
            rest += sock.recv(100)
        assert rest == b"\x81\x02hi"
