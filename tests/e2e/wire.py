"""The agents' protocol (docs/protocol.md), written anew from proto/mayfly.proto: a stand-in
for an agent that tests can make say anything."""

import pathlib
import re
import socket
import struct
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCALARS = ("uint32", "uint64", "bool", "string", "bytes")


def _read_proto():
    """{message: {number: (name, type, repeated)}}; maps are repeated entries."""
    text = re.sub(r"//[^\n]*", "", (ROOT / "proto" / "mayfly.proto").read_text())
    messages = {}
    for name, body in re.findall(r"message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}", text):
        fields = {}
        for repeated, kind, field, number in re.findall(
            r"(repeated\s+)?(map<string, string>|\w+)\s+(\w+)\s*=\s*(\d+);", body
        ):
            if kind.startswith("map"):
                repeated, kind = "repeated", "MapEntry"
            fields[int(number)] = (field, kind, bool(repeated))
        messages[name] = fields
    messages["MapEntry"] = {1: ("key", "string", False), 2: ("value", "string", False)}
    return messages


MESSAGES = _read_proto()


def _varint(n):
    out = bytearray()
    while True:
        out.append((n & 0x7F) | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def encode(message, value):
    out = b""
    for number, (name, kind, repeated) in sorted(MESSAGES[message].items()):
        if name not in value:
            continue
        given = value[name]
        if kind == "MapEntry":
            given = [{"key": k, "value": v} for k, v in given.items()]
        for item in given if repeated else [given]:
            if kind in ("uint32", "uint64", "bool"):
                out += _varint(number << 3) + _varint(int(item))
                continue
            if kind == "string":
                item = item.encode()
            elif kind != "bytes":
                item = encode(kind, item)
            out += _varint(number << 3 | 2) + _varint(len(item)) + item
    return out


def decode(message, data):
    value, at = {}, 0

    def varint():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(data):
        tag = varint()
        name, kind, repeated = MESSAGES[message][tag >> 3]
        if tag & 7 == 0:
            item = bool(varint()) if kind == "bool" else varint()
        else:
            assert tag & 7 == 2, tag
            length = varint()
            item = data[at:at + length]
            at += length
            if kind == "string":
                item = item.decode()
            elif kind not in SCALARS:
                item = decode(kind, item)
        if repeated:
            value.setdefault(name, []).append(item)
        else:
            value[name] = item
    return value


class Agent:
    """Joins as a node; keeps the connection alive and all that comes, in order."""

    def __init__(self, port, node, token="", session="", received=0, boot=None, host="127.0.0.1",
                 memory=1 << 30):
        self.node, self.port = node, port
        self.messages = []
        self.changed = threading.Condition()
        self.closed = False
        self.seq = 0
        self.received = received
        self.sock = socket.create_connection((host, port), timeout=20)
        self.boot = boot or uuid.uuid4().hex
        self._lock = threading.Lock()
        self._send({"hello": {
            "protocol": 1, "node": node, "boot": self.boot, "version": "0.0.0-test",
            "token": token, "gateway": f"{node}.test:8080", "memory_bytes": memory,
            "cpu_millis": 4000, "labels": {"zone": "a"}, "session": session,
            "received": received}})
        first = self._frame()
        self.refused = first.get("refused")
        self.welcome = first.get("welcome")
        if self.welcome:
            threading.Thread(target=self._read, daemon=True).start()
            threading.Thread(target=self._beat, daemon=True).start()

    def _send(self, envelope):
        data = encode("Envelope", envelope)
        with self._lock:
            self.sock.sendall(struct.pack(">I", len(data)) + data)

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise ConnectionError("the controller closed the connection")
            data += more
        return data

    def _frame(self):
        (length,) = struct.unpack(">I", self._exactly(4))
        return decode("Envelope", self._exactly(length))

    def _read(self):
        self.sock.settimeout(None)
        try:
            while True:
                envelope = self._frame()
                with self.changed:
                    if envelope.get("seq"):
                        assert envelope["seq"] == self.received + 1, envelope
                        self.received = envelope["seq"]
                    self.messages.append(envelope)
                    self.changed.notify_all()
        except (OSError, ConnectionError):
            with self.changed:
                self.closed = True
                self.changed.notify_all()

    def _beat(self):
        while not self.closed:
            try:
                self._send({"ack": self.received, "heartbeat": {}})
            except OSError:
                return
            time.sleep(self.welcome.get("heartbeat_ms", 2000) / 4000)

    def send(self, **body):
        """A numbered message: send(report={…})."""
        self.seq += 1
        self._send({"seq": self.seq, "ack": self.received, **body})

    def wait(self, predicate, timeout=20):
        """The first message, from now or before, for which predicate holds."""
        deadline = time.monotonic() + timeout
        at = 0
        with self.changed:
            while True:
                for message in self.messages[at:]:
                    at += 1
                    found = predicate(message)
                    if found:
                        return found
                left = deadline - time.monotonic()
                assert left > 0 and not self.closed, \
                    f"{self.node} waited in vain; got {self.messages[-5:]}"
                self.changed.wait(left)

    def wait_closed(self, timeout=20):
        with self.changed:
            assert self.changed.wait_for(lambda: self.closed, timeout)

    def report(self, loads=(), full=True, **more):
        self.send(report={"full": full, "loads": list(loads), **more})

    def close(self):
        self.closed = True
        self.sock.close()


def function_message(name, where=lambda f: True):
    """For Agent.wait: the state of that function."""

    def predicate(message):
        f = message.get("function")
        return f if f and f.get("name") == name and where(f) else None

    return predicate
