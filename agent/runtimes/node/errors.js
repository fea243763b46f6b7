'use strict';
// What is told about a failure.

const HERE = `${__dirname}/`;

function isError(value) {
  return value instanceof Error || require('node:util').types.isNativeError(value);
}

/** A failure that is about the function rather than in it. */
function fault(name, message, cause) {
  const error = new Error(message);

  error.name = name;
  error.stack = cause?.stack !== undefined
    ? `${name}: ${message}\n${stackLines(cause.stack).slice(1).join('\n')}`
    : `${name}: ${message}`;
  return error;
}

function unhandledRejection(reason) {
  const error = fault('Runtime.UnhandledPromiseRejection', String(reason),
                      isError(reason) ? reason : undefined);

  error.reason = reason;
  return error;
}

/** The function's own, not the runtime's. */
function stackLines(stack) {
  return String(stack).split('\n').filter((line) => !line.includes(HERE));
}

function describe(error) {
  if (!isError(error)) {
    return {
      errorType: typeof error,
      errorMessage: String(error?.toString?.() ?? error),
      trace: [],
    };
  }
  return {
    errorType: String(error.name),
    errorMessage: String(error.message),
    trace: stackLines(error.stack ?? ''),
  };
}

function toDocument(error) {
  try {
    return JSON.stringify(describe(error));
  } catch (e) {
    return JSON.stringify({ errorType: 'handled', errorMessage: 'the error tells nothing',
                            trace: [] });
  }
}

function headers(error) {
  const name = isError(error) ? String(error.name) : typeof error;

  return {
    'Content-Type': 'application/vnd.aws.lambda.error+json',
    'Lambda-Runtime-Function-Error-Type': name.replace(/[^\x21-\x7e]/g, '?'),
  };
}

/** For the log, on one line: what describe() says, and what else the error carries. */
function toLog(error) {
  const { errorType, errorMessage, trace } = describe(error);
  const entry = { errorType, errorMessage };

  if (isError(error)) {
    for (const key of Object.keys(error)) {
      if (!['name', 'message', 'stack'].includes(key)) {
        entry[key] = isError(error[key]) ? describe(error[key]) : error[key];
      }
    }
  }
  entry.stack = trace;
  try {
    return JSON.stringify(entry);
  } catch (e) {
    return JSON.stringify({ errorType, errorMessage, stack: trace });
  }
}

module.exports = { describe, fault, headers, toDocument, toLog, unhandledRejection };
