'use strict';
// A connection to the Runtime API: one request after the other, no more HTTP than that takes.
// `http` would take longer to load than the whole rest of the runtime.

const net = require('node:net');

const PREFIX = '/2018-06-01/runtime/';
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const GONE = 'the platform has closed the connection';
const ONE_WRITE = 64 * 1024;

class Connection {
  constructor(address) {
    const colon = address.lastIndexOf(':');

    this.address = address;
    this.host = address.slice(0, colon);
    this.port = Number(address.slice(colon + 1));
    this.socket = null;
    this.pending = null; // { resolve, reject } of the request that is out
    this.chunks = [];
    this.referenced = true;
  }

  /** Whether this connection keeps the event loop going. */
  ref() {
    this.referenced = true;
    this.socket?.ref();
  }

  unref() {
    this.referenced = false;
    this.socket?.unref();
  }

  /** Resolves to { status, headers (names in lower case), body (a Buffer) }. */
  request(method, path, headers = {}, body = '') {
    const length = method === 'GET' ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const reply = this.expect();

    this.write(this.head(method, path, { ...headers, ...length }) +
               (body.length < ONE_WRITE ? body : ''));
    if (body.length >= ONE_WRITE) {
      this.write(body);
    }
    return reply;
  }

  /** The head of a request with chunks to follow. The reply comes after end(). */
  begin(path, headers) {
    this.reply = this.expect();
    this.reply.catch(() => {}); // told by end()
    this.write(this.head('POST', path, { ...headers, 'Transfer-Encoding': 'chunked' }));
  }

  chunk(data, written) {
    if (this.socket === null) {
      written(new Error(GONE));
      return;
    }
    if (data.length === 0) {
      written();
      return;
    }
    this.socket.cork();
    this.write(`${data.length.toString(16)}\r\n`);
    this.write(data);
    this.write('\r\n', written);
    process.nextTick(() => this.socket?.uncork());
  }

  end(trailers = {}) {
    const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`);

    this.write(`0\r\n${lines.join('')}\r\n`);
    return this.reply;
  }

  head(method, path, headers) {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);

    return `${method} ${PREFIX}${path} HTTP/1.1\r\nHost: ${this.address}\r\n` +
           `${lines.join('')}\r\n`;
  }

  write(data, written) {
    this.socket?.write(data, written);
  }

  expect() {
    if (this.socket === null) {
      this.connect();
    }
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
    });
  }

  connect() {
    const socket = net.connect({ host: this.host, port: this.port, noDelay: true });

    socket.on('data', (data) => this.receive(data));
    socket.on('error', () => {});
    socket.on('close', () => this.closed(socket));
    if (!this.referenced) {
      socket.unref();
    }
    this.socket = socket;
    this.chunks = [];
  }

  closed(socket) {
    if (this.socket !== socket) {
      return;
    }
    const pending = this.pending;

    this.socket = this.pending = null;
    pending?.reject(new Error(GONE));
  }

  receive(data) {
    this.chunks.push(data);
    if (this.parsed === undefined) {
      const all = this.chunks.length === 1 ? data : Buffer.concat(this.chunks);
      const at = all.indexOf(END_OF_HEAD);

      this.chunks = [all];
      if (at < 0) {
        return;
      }
      this.parsed = parseHead(all.toString('utf8', 0, at));
      this.chunks = [all.subarray(at + END_OF_HEAD.length)];
      this.missing = this.parsed.length - this.chunks[0].length;
    } else {
      this.missing -= data.length;
    }
    if (this.missing > 0) {
      return;
    }
    const { status, headers } = this.parsed;
    const body = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
    const pending = this.pending;

    this.parsed = undefined;
    this.chunks = [];
    this.pending = null;
    if (headers.connection === 'close') {
      const socket = this.socket;

      this.socket = null;
      socket.end();
    }
    pending?.resolve({ status, headers, body });
  }
}

function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const headers = {};

  for (const line of lines) {
    const colon = line.indexOf(':');

    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return {
    status: Number(first.split(' ', 2)[1]),
    headers,
    length: Number(headers['content-length'] ?? 0),
  };
}

module.exports = { Connection };
