"""What the tests drive mayfly with: a cluster, a dev server, and HTTP into their networks."""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = pathlib.Path(os.environ.get("MAYFLY_PREFIX", ROOT / "build" / "prefix"))

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def in_network(namespace):
    """This thread is in the network namespace of that path within the block."""
    with open("/proc/thread-self/ns/net") as home, open(namespace) as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
        try:
            yield
        finally:
            if _libc.setns(home.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns back")


def connect(namespace, port, host="127.0.0.1", timeout=60):
    with in_network(namespace):
        return socket.create_connection((host, port), timeout=timeout)


class Connection(http.client.HTTPConnection):
    def __init__(self, namespace, port, timeout=60):
        super().__init__("127.0.0.1", port, timeout=timeout)
        self.namespace = namespace

    def connect(self):
        self.sock = connect(self.namespace, self.port, timeout=self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Reply:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def cause(self):
        return self.headers.get("X-Mayfly-Error")

    def __repr__(self):
        return f"<{self.status} {self.cause or ''} {self.body[:300]!r}>"


def request(namespace, port, method, path, body=None, headers=None, timeout=60):
    connection = Connection(namespace, port, timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(response, response.read())
    finally:
        connection.close()


def wait_for(what, predicate, timeout=30):
    """Asks until it holds: for things that have no event to wait for from outside."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.05)


def run(args, check=True, timeout=180, **kw):
    result = subprocess.run(
        [str(a) for a in args], capture_output=True, text=kw.pop("text", True),
        timeout=timeout, **kw,
    )
    if check and result.returncode != 0:
        raise AssertionError(
            f"{' '.join(map(str, args))}: exit {result.returncode}\n"
            f"{result.stdout}\n{result.stderr}"
        )
    return result


class Background:
    """A call in a thread: .result() gives what it returned or raises what it raised."""

    def __init__(self, function, *args, **kw):
        self._value = self._error = None

        def body():
            try:
                self._value = function(*args, **kw)
            except BaseException as e:  # handed to result()
                self._error = e

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    def is_running(self):
        return self._thread.is_alive()

    def result(self, timeout=90):
        self._thread.join(timeout)
        assert not self._thread.is_alive(), f"still running after {timeout} s"
        if self._error is not None:
            raise self._error
        return self._value


class Client:
    """What cluster and dev have in common: a CLI, and a gateway to call."""

    def deploy(self, path, name, *options, check=True):
        return self.mayfly("deploy", path, "--name", name, "--wait", *options, check=check)

    def call(self, name, body=None, path="", method=None, headers=None, host=None, timeout=60):
        return request(
            self.network(host), 8080, method or ("POST" if body is not None else "GET"),
            f"/fn/{name}{path}", body, headers, timeout,
        )

    def json(self, *args):
        return json.loads(self.mayfly(*args, "-o", "json").stdout)


class Cluster(Client):
    def __init__(self, folder):
        self.env = dict(
            os.environ,
            PATH=f"{PREFIX}/bin:{os.environ['PATH']}",
            MAYFLY_PREFIX=str(PREFIX),
            MAYFLY_CLUSTER_DIR=str(folder),
            NO_COLOR="1",
        )
        self.folder = folder

    def tool(self, *args, check=True, **kw):
        return run([ROOT / "deploy" / "local-cluster", *args], check=check, env=self.env, **kw)

    def up(self, nodes):
        self.tool("up", "--nodes", nodes)

    def down(self):
        self.tool("down")

    def exec(self, host, *args, **kw):
        return self.tool("exec", host, *args, **kw)

    def mayfly(self, *args, check=True, host="node1", **kw):
        return self.exec(host, "mayfly", *args, check=check, **kw)

    def network(self, host=None):
        return f"/run/netns/mf-{host or 'node1'}"

    def rest(self, method, path, body=None, headers=None, timeout=60):
        return request(self.network("ctl1"), 8090, method, path, body, headers, timeout)

    def nodes(self):
        return {n["name"]: n for n in self.rest("GET", "/v1/nodes").json()["items"]}

    def wait_ready(self, n=3):
        def ready():
            try:
                return sum(x["state"] == "ready" for x in self.nodes().values()) == n
            except OSError:
                return False

        wait_for(f"{n} ready nodes", ready)


class Dev(Client):
    """mayfly dev in a network namespace that is only its own."""

    def __init__(self, folder, name=f"mf-test-{os.getpid()}"):
        self.name = name
        self.folder = folder
        self.env = dict(
            os.environ,
            PATH=f"{PREFIX}/bin:{os.environ['PATH']}",
            MAYFLY_DEV_DIR=str(folder / "state"),
            NO_COLOR="1",
        )

    def network(self, host=None):
        return f"/run/netns/{self.name}"

    def start(self):
        run(["ip", "netns", "add", self.name])
        run(["ip", "-n", self.name, "link", "set", "lo", "up"])
        self.mayfly("dev", "--detach")

    def stop(self):
        self.mayfly("dev", "stop")
        run(["ip", "netns", "del", self.name])

    def command(self, *args, check=True, **kw):
        # Not `ip netns exec`, which mounts another /sys: without control groups.
        return run(["nsenter", f"--net={self.network()}", "--", *args], check=check,
                   env=self.env, **kw)

    def mayfly(self, *args, check=True, **kw):
        return self.command("mayfly", *args, check=check, **kw)
