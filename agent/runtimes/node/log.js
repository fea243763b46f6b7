'use strict';
// console.* as people know it from Lambda: time, request id, level and text, with tabs between.
// AWS_LAMBDA_LOG_FORMAT is JSON or Text, AWS_LAMBDA_LOG_LEVEL the least level that is kept.

const fs = require('node:fs');
const util = require('node:util');
const errors = require('./errors.js');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const METHODS = {
  trace: 'TRACE', debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR',
  fatal: 'FATAL',
};

let asJson, least;
let current; // the request's id
let storage; // … of each, when there are many at once

function setRequestId(id) {
  current = id;
}

/** Calls f, whose log lines have that id, also those that come later. */
function within(id, f) {
  storage.run(id, f);
}

function write(level, text) {
  const fd = level === 'ERROR' || level === 'FATAL' || level === 'WARN' ? 2 : 1;
  let data = Buffer.from(text);

  try {
    while (data.length > 0) {
      data = data.subarray(fs.writeSync(fd, data));
    }
  } catch (e) {
    if (e.code === 'EAGAIN') { // the function has made it non-blocking
      (fd === 1 ? process.stdout : process.stderr).write(data);
    }
  }
}

function put(level, message, error, id = storage?.getStore() ?? current) {
  if (LEVELS.indexOf(level) < least) {
    return;
  }
  const timestamp = new Date().toISOString();

  if (asJson) {
    const fields = error !== undefined ? errors.describe(error) : {};

    write(level, `${JSON.stringify({ timestamp, level, requestId: id, message, ...fields })}\n`);
  } else {
    const more = error !== undefined ? `\t${errors.toLog(error)}` : '';

    write(level, `${timestamp}\t${id}\t${level}\t${message}${more}\n`);
  }
}

/** The environment is the function's, and there is no call. */
function begin(concurrent) {
  current = undefined;
  asJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toLowerCase() === 'json';
  least = LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase() ?? '');
  if (concurrent) {
    storage = new (require('node:async_hooks').AsyncLocalStorage)();
  }
  for (const [method, level] of Object.entries(METHODS)) {
    console[method] = (...args) => put(level, util.format(...args));
  }
}

function error(label, value, id) {
  put('ERROR', label, value ?? null, id);
}

module.exports = { begin, error, setRequestId, within };
