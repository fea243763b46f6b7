"""A connection to the Runtime API: one request after the other, no more HTTP than that takes.

http.client and socket would take longer to import than the whole rest of a start."""
import _socket

_PREFIX = "/2018-06-01/runtime/"
_BLOCK = 256 * 1024


class Gone(Exception):
    """The platform has closed the connection."""


class Connection:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._host = f" HTTP/1.1\r\nHost: {address}\r\n"
        self._socket = None

    def request(self, method, path, headers="", body=b""):
        """(status, {name in lower case: value}, body). A connection that was closed meanwhile is
        made anew, once."""
        length = "" if method == "GET" else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {_PREFIX}{path}{self._host}{headers}{length}\r\n".encode()
        for fresh in (self._socket is None, True):
            try:
                self._connect()
                if len(body) < _BLOCK:
                    self._socket.sendall(head + body)
                else:
                    self._socket.sendall(head)
                    self._socket.sendall(body)
                return self._answer()
            except (OSError, Gone):
                self.close()
                if fresh:
                    raise

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self):
        if self._socket is None:
            self._socket = _socket.socket(_socket.AF_INET,
                                          _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            self._socket.connect(self._address)
            self._socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)

    def _receive(self):
        data = self._socket.recv(_BLOCK)
        if not data:
            raise Gone
        return data

    def _answer(self):
        data = self._receive()
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("utf-8", "replace").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        missing = int(headers.get("content-length", 0)) - len(body)
        if missing > 0:
            parts = [body]
            while missing > 0:
                parts.append(self._receive())
                missing -= len(parts[-1])
            body = b"".join(parts)
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ", 2)[1]), headers, body
