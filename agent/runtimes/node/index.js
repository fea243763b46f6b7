'use strict';
// The runtime `node`: asks for events, calls the handler, hands in what it returns.
//
// It speaks Lambda's Runtime API (docs/runtimes.md). What only some functions need (ES
// modules, response streams, requests at once) is loaded when they do.

const { Connection } = require('./api.js');
const { newContext } = require('./context.js');
const errors = require('./errors.js');
const { load } = require('./load.js');
const log = require('./log.js');

const env = process.env;
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const EXIT_REJECTION = 128; // as Lambda's runtime client has them
const EXIT_EXCEPTION = 129;

let limit = 1; // calls at once
const running = new Set(); // calls
let initialising = true;
let waiting = 0; // workers that wait for an event
let workers = 0;

globalThis.awslambda = {
  /** Marks a handler (event, responseStream, context) whose reply streams. */
  streamifyResponse(handler, options) {
    handler[STREAMING] = 'response';
    if (options?.highWaterMark !== undefined) {
      handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')] =
        Number(options.highWaterMark);
    }
    return handler;
  },
  get HttpResponseStream() {
    return require('./stream.js').HttpResponseStream;
  },
};

// --- the end of the process -----------------------------------------------------------------

/** What nobody caught belongs to all calls that run; the process is not to be trusted then. */
function fatal(error, label, status) {
  log.error(label, error);
  const body = errors.toDocument(error);
  const told = initialising
    ? [new Connection(env.AWS_LAMBDA_RUNTIME_API)
      .request('POST', 'init/error', errors.headers(error), body)]
    : [...running].map((call) => call.fail(error, { silent: true }));

  initialising = false;
  void Promise.allSettled(told).then(() => process.exit(status));
}

process.on('uncaughtException', (error) => fatal(error, 'Uncaught Exception', EXIT_EXCEPTION));
process.on('unhandledRejection', (reason) => {
  const error = errors.unhandledRejection(reason);

  fatal(error, 'Unhandled Promise Rejection', EXIT_REJECTION);
});

/** Nothing is left to do, yet somebody waits for a result. */
process.on('beforeExit', () => {
  for (const call of running) {
    call.idle();
  }
});

// --- calls ------------------------------------------------------------------------------------

class Call {
  constructor(worker, headers) {
    this.worker = worker;
    this.id = headers['lambda-runtime-aws-request-id'];
    this.path = `invocation/${this.id}/`;
    this.answered = false;
    this.waitForEmptyEventLoop = true;
    this.held = null; // a result that waits for the event loop
    this.settled = false; // the handler has said how it ends: what it says after that is ignored
    this.stream = null;
  }

  /** A result. The callback's waits until nothing else is to be done; concurrent calls cannot. */
  succeed(value, { wait = false } = {}) {
    if (this.answered || this.stream !== null) {
      return Promise.resolve();
    }
    if (wait && this.waitForEmptyEventLoop && limit === 1) {
      this.held = { value };
      return Promise.resolve();
    }
    let body;

    try {
      body = JSON.stringify(value === undefined ? null : value) ?? 'null';
    } catch (e) {
      return this.fail(errors.fault('Runtime.MarshalError',
                                    `Unable to stringify response body: ${e.message}`, e));
    }
    this.answered = true;
    return this.finish('response', { 'Content-Type': 'application/json' }, body);
  }

  fail(error, { silent = false } = {}) {
    if (this.answered) {
      return Promise.resolve();
    }
    this.answered = true;
    if (!silent) {
      log.error('Invoke Error', error, this.id);
    }
    if (this.stream?.begun) {
      return this.stream.abort(error).then(() => this.over());
    }
    return this.finish('error', errors.headers(error), errors.toDocument(error));
  }

  idle() {
    if (this.stream !== null) {
      this.stream.end();
    } else {
      const { value } = this.held ?? { value: null };

      this.held = null;
      this.waitForEmptyEventLoop = false;
      void this.succeed(value);
    }
  }

  async finish(what, headers, body) {
    this.worker.connection.ref();
    try {
      await this.worker.connection.request('POST', this.path + what, headers, body);
    } catch {
      // The platform did not want it (too large, too late): the next event, if there is one.
    }
    this.over();
  }

  over() {
    if (running.delete(this)) {
      setImmediate(() => this.worker.next());
    }
  }
}

function callback(call) {
  return (error, value) => {
    if (call.settled) {
      return;
    }
    call.settled = true;
    if (error !== undefined && error !== null) {
      void call.fail(error);
    } else {
      void call.succeed(value, { wait: true });
    }
  };
}

function runBuffered(call, handler, event, context) {
  const result = handler(event, context, callback(call));

  if (typeof result?.then === 'function') {
    const first = (tell) => (what) => {
      if (!call.settled) {
        call.settled = true;
        tell(what);
      }
    };

    result.then(first((value) => call.succeed(value)), first((error) => call.fail(error)));
  }
}

function runStreaming(call, handler, event, context) {
  const { ResponseStream } = require('./stream.js');
  const stream = new ResponseStream(call.worker.connection, call.path + 'response');

  call.stream = stream;
  stream.on('error', (error) => void call.fail(error));
  stream.on('close', () => {
    if (!call.answered) {
      void call.fail(new Error('The response stream was destroyed before its end'));
    }
  });
  stream.on('finish', () => {
    call.answered = true;
    call.over();
  });
  const result = handler(event, stream, context);

  if (typeof result?.then === 'function') {
    result.then(undefined, (error) => call.fail(error));
  }
}

function run(call, handler, headers, body) {
  const context = newContext(call, headers, callback(call));
  let event;

  try {
    event = JSON.parse(body.toString());
  } catch (e) {
    void call.fail(errors.fault('Runtime.UnmarshalError',
                                `Unable to unmarshal input: ${e.message}`, e));
    return;
  }
  try {
    const how = handler[STREAMING] === 'response' ? runStreaming : runBuffered;

    how(call, handler, event, context);
  } catch (error) {
    if (!call.settled) {
      void call.fail(error);
    }
  }
}

// --- workers: each has a connection, and asks for one event after the other -------------------

class Worker {
  /** gone(why): there are no more events. */
  constructor(handler, address, gone) {
    this.handler = handler;
    this.address = address;
    this.gone = gone;
    this.connection = new Connection(address);
    workers++;
  }

  next() {
    waiting++;
    this.connection.ref();
    this.connection.request('GET', 'invocation/next').then(
      (reply) => this.take(reply),
      (error) => this.end(`the Runtime API is gone: ${error.message}`));
  }

  end(why) {
    waiting--;
    workers--;
    this.gone(why);
  }

  take({ status, headers, body }) {
    if (status !== 200) {
      this.end(`the platform answered ${status}: ${body}`);
      return;
    }
    waiting--;
    const call = new Call(this, headers);

    running.add(call);
    if (limit > 1) {
      if (waiting === 0 && workers < limit) {
        new Worker(this.handler, this.address, this.gone).next();
      }
      log.within(call.id, () => run(call, this.handler, headers, body));
      return;
    }
    const trace = headers['lambda-runtime-trace-id'];

    if (trace !== undefined) {
      env._X_AMZN_TRACE_ID = trace;
    } else {
      delete env._X_AMZN_TRACE_ID;
    }
    log.setRequestId(call.id);
    this.connection.unref(); // so that the function's own work keeps the event loop, or not
    run(call, this.handler, headers, body);
  }
}

// --- the start ------------------------------------------------------------------------------

/** Calls nobody's handler, for seed.js. */
function rehearse(address) {
  return new Promise((resolve) => {
    new Worker(async () => 'ok', address, resolve).next();
  });
}

function die(why) {
  process.stderr.write(`mayfly: ${why}\n`);
  process.exit(1);
}

async function main() {
  if (process.argv[2] === '--seed') {
    process.argv.length = 2;
    await require('./seed.js').wait(rehearse);
  }
  env.AWS_EXECUTION_ENV ??= `AWS_Lambda_nodejs${process.versions.node.split('.')[0]}.x`;
  limit = Number(env.AWS_LAMBDA_MAX_CONCURRENCY) || 1;
  log.begin(limit > 1);
  let handler = load('/var/task', env._HANDLER);

  if (typeof handler !== 'function') {
    handler = await handler; // an ES module
  }
  await new Promise(setImmediate); // what its loading left unhandled is told by then
  initialising = false;
  new Worker(handler, env.AWS_LAMBDA_RUNTIME_API, die).next();
}

main().catch((error) => {
  if (initialising) {
    fatal(error, 'Uncaught Exception', 1);
  } else {
    throw error;
  }
});
