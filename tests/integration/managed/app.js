'use strict';
// What an event asks for is done.

let count = 0;
const loop = {};
loop.loop = loop;

const actions = {
  echo: (event) => event.value,
  context: (event, context) => ({
    remaining: context.getRemainingTimeInMillis() > 0,
    id: context.awsRequestId,
    arn: context.invokedFunctionArn,
    name: context.functionName,
    version: context.functionVersion,
    memory: context.memoryLimitInMB,
    group: context.logGroupName,
    stream: context.logStreamName,
    waits: context.callbackWaitsForEmptyEventLoop,
    environment: /^AWS_Lambda_nodejs\d+\.x$/.test(process.env.AWS_EXECUTION_ENV),
    trace: process.env._X_AMZN_TRACE_ID,
  }),
  prints: () => {
    console.log('printed %d', 7, { a: 1 });
    console.error('in', 'error');
    process.stdout.write('raw\n');
  },
  throw: () => {
    throw Object.assign(new TypeError('no such thing'), { code: 'E_ODD' });
  },
  'throw text': () => {
    throw 'only text';
  },
  loops: () => loop,
  bigint: () => 1n,
  function: () => () => 1,
  big: (event) => 'x'.repeat(event.size),
  nothing: () => undefined,
  exit: () => process.exit(5),
  late: () => new Promise((resolve) => setTimeout(() => resolve('late'), 30)),
  never: () => new Promise(() => {}),
  'uncaught': () => new Promise(() => {
    setTimeout(() => { throw new RangeError('nobody catches this'); }, 1);
  }),
  'rejection': () => new Promise(() => {
    void Promise.reject(new RangeError('nobody handles this'));
    setTimeout(() => {}, 100000);
  }),
  count: () => ++count,
};

exports.handler = async (event, context) => actions[event.do](event, context);

// --- as before promises ----------------------------------------------------------------------

exports.callback = (event, context, callback) => {
  switch (event.do) {
    case 'error':
      callback(new Error('told back'));
      break;
    case 'waits': { // for what else is to be done
      const told = { after: false };

      setTimeout(() => { told.after = true; }, 50);
      callback(null, told);
      break;
    }
    case 'at once':
      context.callbackWaitsForEmptyEventLoop = false;
      setTimeout(() => {}, 100000);
      callback(null, 'now');
      break;
    case 'never':
      break;
    case 'throw':
      throw new Error('thrown');
    case 'succeed':
      context.succeed('succeeded');
      break;
    case 'fail':
      context.fail(new Error('failed'));
      break;
    case 'done':
      setTimeout(() => context.done(null, 'done'), 1);
      break;
    case 'twice':
      callback(null, 'first');
      context.done(null, 'second');
      callback(new Error('third'));
      throw new Error('fourth');
    default:
      callback(null, event);
  }
};

exports.nested = { handler: async () => 'nested' };
exports.text = 'no function';

// --- several at once ---------------------------------------------------------------------------

let met;
let inside = 0;
const meeting = new Promise((resolve) => { met = resolve; });

exports.meet = async (event, context) => {
  console.log(`one of ${++inside}`);
  if (inside === event.all) {
    met();
  }
  await meeting;
  console.log('met');
  return context.awsRequestId;
};

// --- streams -----------------------------------------------------------------------------------

exports.stream = awslambda.streamifyResponse(async (event, stream, context) => {
  switch (event.do) {
    case 'http':
      stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
      stream.write('after the prelude');
      stream.end();
      break;
    case 'pieces':
      stream.setContentType('text/x-pieces');
      for (let i = 0; i < event.n; i++) {
        if (!stream.write(Buffer.alloc(65536, 'p'))) {
          await new Promise((resolve) => stream.once('drain', resolve));
        }
      }
      stream.end();
      break;
    case 'throw first':
      throw new Error('before a byte');
    case 'throw late':
      stream.write('some');
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error('after a byte');
    case 'no end':
      stream.write('all the same');
      break;
    case 'empty':
      stream.end();
      break;
    case 'pipe':
      require('stream').Readable.from(['a', 'b', 'c']).pipe(stream);
      break;
    default:
      stream.end(JSON.stringify(event));
  }
});
