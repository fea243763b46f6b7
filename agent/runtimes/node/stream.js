'use strict';
// A reply that streams: awslambda.streamifyResponse((event, responseStream, context) => …).

const { Writable } = require('node:stream');
const errors = require('./errors.js');

const HTTP_INTEGRATION = 'application/vnd.awslambda.http-integration-response';
const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY = 'Lambda-Runtime-Function-Error-Body';

class ResponseStream extends Writable {
  #connection;
  #path;
  #contentType = 'application/octet-stream';
  #prelude = null;

  constructor(connection, path) {
    super({ decodeStrings: true });
    this.#connection = connection;
    this.#path = path;
    this.begun = false; // the head is out: a failure is told by trailers from here on
  }

  setContentType(type) {
    this.#contentType = type;
  }

  /** Status, headers and cookies of an HTTP reply; they go before the first byte. */
  setPrelude(metadata) {
    this.#contentType = HTTP_INTEGRATION;
    this.#prelude = Buffer.concat([Buffer.from(JSON.stringify(metadata)), Buffer.alloc(8)]);
  }

  #begin() {
    if (this.begun) {
      return;
    }
    this.begun = true;
    this.#connection.ref();
    this.#connection.begin(this.#path, {
      'Content-Type': this.#contentType,
      'Lambda-Runtime-Function-Response-Mode': 'streaming',
      Trailer: `${ERROR_TYPE}, ${ERROR_BODY}`,
    });
    if (this.#prelude !== null) {
      this.#connection.chunk(this.#prelude, () => {});
    }
    this.#connection.unref();
  }

  _write(data, encoding, done) {
    this.#begin();
    this.#connection.chunk(data, done);
  }

  _final(done) {
    this.#begin();
    this.#connection.ref();
    this.#connection.end().then(() => done(), done);
  }

  /** The reply has begun, and fails: what came is all. */
  async abort(error) {
    const { [ERROR_TYPE]: type } = errors.headers(error);

    this.#connection.ref();
    try {
      await this.#connection.end({
        [ERROR_TYPE]: type,
        [ERROR_BODY]: Buffer.from(errors.toDocument(error)).toString('base64'),
      });
    } catch {
      // The caller is gone.
    }
    this.destroy();
  }
}

const HttpResponseStream = {
  from(stream, metadata) {
    stream.setPrelude(metadata ?? {});
    return stream;
  },
};

module.exports = { HttpResponseStream, ResponseStream };
