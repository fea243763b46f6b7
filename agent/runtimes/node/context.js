'use strict';
// The second argument of a handler.

const env = process.env;

function parse(text) {
  if (!text) {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** callback: (error, value), as the handler's third argument. */
function newContext(call, headers, callback) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return call.waitForEmptyEventLoop;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      call.waitForEmptyEventLoop = Boolean(value);
    },
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse(headers['lambda-runtime-client-context']),
    identity: parse(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: call.id,
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
    // Of the time before callbacks; they do not wait for the event loop.
    done(error, value) {
      if (!call.settled) {
        call.waitForEmptyEventLoop = false;
      }
      callback(error, value);
    },
    succeed(value) {
      context.done(null, value);
    },
    fail(error) {
      context.done(error ?? 'handled');
    },
  };

  return context;
}

module.exports = { newContext };
