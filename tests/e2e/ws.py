"""Functions that speak WebSocket (npm's ws, Debian's python3-websockets), and a client for them."""

import asyncio
import shutil

import npm
import pytest
from lib import connect

websockets = pytest.importorskip("websockets", reason="python3-websockets is not installed")

WS = "ws@8.23.0"

# Both do as the first words of a message say, and send back any other.
NODE_SERVER = """
const http = require('http');
const { WebSocketServer } = require('ws');
const id = require('crypto').randomUUID(); // of the instance
const server = http.createServer((req, res) => res.end(id));
const wss = new WebSocketServer({
  noServer: true, maxPayload: 64 << 20, perMessageDeflate: true,
  handleProtocols: (names) => [...names][0],
});
server.on('upgrade', (req, socket, head) => {
  if (req.url.startsWith('/refuse')) {
    socket.end('HTTP/1.1 403 Forbidden\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nno');
    return;
  }
  wss.handleUpgrade(req, socket, head, (ws) => {
    ws.on('pong', (data) => ws.send(`pong ${data}`));
    ws.on('message', (data, binary) => {
      const [word, ...rest] = binary ? [] : String(data).split(' ');
      if (word === 'request') ws.send(JSON.stringify({ url: req.url, id, headers: req.headers }));
      else if (word === 'close') ws.close(Number(rest[0]), rest[1]);
      else if (word === 'cut') ws.terminate();
      else if (word === 'die') process.exit(3);
      else if (word === 'ping') ws.ping(rest[0]);
      else ws.send(data, { binary });
    });
  });
});
process.on('SIGTERM', () => {
  for (const ws of wss.clients) ws.close(1001, 'going');
  server.close(() => process.exit(0));
});
server.listen(process.env.PORT);
"""

PYTHON_SERVER = """
import asyncio, http, json, os, signal, uuid
import websockets

ID = str(uuid.uuid4())

async def plain(path, headers):
    if path == '/id':
        return http.HTTPStatus.OK, [], ID.encode()
    if path.startswith('/refuse'):
        return http.HTTPStatus.FORBIDDEN, [], b'no'

async def serve(ws):
    async for message in ws:
        word, *rest = message.split(' ') if isinstance(message, str) else ['']
        if word == 'request':
            await ws.send(json.dumps({'url': ws.path, 'id': ID,
                                      'headers': {k.lower(): v for k, v in ws.request_headers.raw_items()}}))
        elif word == 'close':
            await ws.close(int(rest[0]), rest[1])
        elif word == 'cut':
            ws.transport.abort()
        elif word == 'die':
            os._exit(3)
        elif word == 'ping':
            await (await ws.ping(rest[0]))
            await ws.send('pong ' + rest[0])
        else:
            await ws.send(message)

async def main():
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    async with websockets.serve(serve, '127.0.0.1', int(os.environ['PORT']), process_request=plain,
                                max_size=64 << 20, subprotocols=['one', 'two'], ping_interval=None):
        await stop

asyncio.run(main())
"""

YAML = "runtime: http\nhandler: {handler}\nconcurrency: 16\ntimeout: 10m\nmemory: 128\n"


def write(kind, folder):
    """A package with a server of that kind: "ws" or "websockets"."""
    if kind == "ws":
        shutil.copytree(npm.installed(WS) / "node_modules", folder / "node_modules", symlinks=True)
        (folder / "server.js").write_text(NODE_SERVER)
        handler = "node server.js"
    else:
        (folder / "server.py").write_text(PYTHON_SERVER)
        handler = "/usr/bin/python3 server.py"
    (folder / "function.yaml").write_text(YAML.format(handler=handler))
    return folder


def talk(client, path, scenario, host=None, **options):
    """Runs scenario(ws) with a connection to `path` of the gateway, and gives what it returns."""

    async def main():
        sock = connect(client.network(host), 8080)
        sock.setblocking(False)
        async with websockets.connect(f"ws://127.0.0.1:8080{path}", sock=sock, max_size=64 << 20,
                                      open_timeout=60, close_timeout=60, ping_interval=None,
                                      **options) as ws:
            return await asyncio.wait_for(scenario(ws), 120)

    return asyncio.run(main())


async def closed(ws):
    """How the other side closed it: (code, reason)."""
    try:
        while True:
            await ws.recv()
    except websockets.ConnectionClosed:
        return ws.close_code, ws.close_reason


async def everything(ws):
    await ws.send("Zoë")
    assert await ws.recv() == "Zoë"
    await ws.send(bytes(range(256)) * 10)
    assert await ws.recv() == bytes(range(256)) * 10
    await (await ws.ping(b"from the client"))
    await ws.send("ping from-the-server")
    assert await ws.recv() == "pong from-the-server"
    await ws.send("")
    assert await ws.recv() == ""
    await ws.send("close 4321 enough")
    return await closed(ws)
