'use strict';
// Waits for the function, with what takes long done: Node.js is up, a call has been rehearsed
// (what runs for the first time is compiled then), and modules that most functions need are
// there. Nothing here knows which function it will be.
//
// On LINK it says 'r' when it is up and 'd' when it does no more than wait. The function may come
// at any time, also before that: what is not done by then is left.

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');

const LINK = 3;
const HEAD = 4; // the environment's length, before it
const USUAL = ['node:crypto', 'node:http', 'node:https', 'node:zlib', './stream.js',
               'node:async_hooks', 'node:querystring', 'node:string_decoder', 'node:tls'];
const EVENT = '{"rehearsal":[1,"two",null]}';

// --- the link ---------------------------------------------------------------------------------

class Link {
  constructor() {
    this.text = Buffer.alloc(0);
    this.socket = new net.Socket({ fd: LINK, readable: true, writable: true });
    this.arrived = new Promise((resolve) => {
      this.socket.on('data', (data) => {
        this.text = Buffer.concat([this.text, data]);
        if (this.isWhole()) {
          resolve();
        }
      });
    });
    this.socket.on('error', () => this.ended());
    this.socket.on('end', () => this.ended());
  }

  get length() {
    return os.endianness() === 'LE' ? this.text.readUInt32LE() : this.text.readUInt32BE();
  }

  isWhole() {
    return this.text.length >= HEAD && this.text.length >= HEAD + this.length;
  }

  ended() {
    if (!this.isWhole()) {
      process.exit(0); // there will be no function
    }
  }

  /** A turn of the loop: has it begun to come? */
  async hears() {
    await new Promise(setImmediate);
    return this.text.length > 0;
  }

  /** Past the socket, which would give up what has come if nobody listened any more. */
  say(word) {
    try {
      fs.writeSync(LINK, word);
    } catch {
      // The function has come.
    }
  }

  /** The environment, which is the function's from here on. */
  take() {
    const text = this.text.toString('utf8', HEAD, HEAD + this.length);

    this.socket.destroy();
    for (const name of Object.keys(process.env)) {
      delete process.env[name];
    }
    for (const entry of text.split('\0').slice(0, -1)) {
      const at = entry.indexOf('=');

      process.env[entry.slice(0, at)] = entry.slice(at + 1);
    }
  }
}

// --- the rehearsal ----------------------------------------------------------------------------

/** A Runtime API that has one event, and is gone when it has the reply. */
function answer(server, socket) {
  const body = Buffer.from(EVENT);
  let asked = false;

  socket.on('error', () => {});
  socket.on('data', () => {
    if (asked) {
      server.close();
      socket.resetAndDestroy(); // nothing of it stays in the network
      return;
    }
    asked = true;
    socket.write('HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 0\r\n' +
                 `Lambda-Runtime-Deadline-Ms: 0\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
  });
}

/** serve(address): calls a handler until the Runtime API there is gone. */
function rehearse(serve) {
  return new Promise((resolve) => {
    const server = net.createServer({ noDelay: true }, (socket) => answer(server, socket));

    server.on('error', resolve);
    server.listen(0, '127.0.0.1', () => {
      void serve(`127.0.0.1:${server.address().port}`).then(resolve);
    });
  });
}

// --- modules ----------------------------------------------------------------------------------

async function loadUsual(link) {
  for (const name of USUAL) {
    if (await link.hears()) {
      return;
    }
    require(name);
  }
  await import('./usual.mjs'); // what ES modules take the first time
}

/** Resolves when the function is there: its environment is set, its folder is the current one. */
async function wait(serve) {
  const link = new Link();

  link.say('r');
  if (!await link.hears()) {
    await rehearse(serve);
    await loadUsual(link);
    link.say('d');
  }
  await link.arrived;
  link.take();
  process.chdir('/var/task');
}

module.exports = { wait };
