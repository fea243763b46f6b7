// Streams a CSV file that is larger than any reply held in memory: an ES module.

import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';

const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

/** In place of a table that is read bit by bit. */
function* rows(count) {
  yield ['id', 'name', 'price'];
  for (let id = 1; id <= count; id++) {
    yield [String(id), `article "${id}"`, (id * 0.99).toFixed(2)];
  }
}

function* lines(count) {
  let block = '';

  for (const row of rows(count)) {
    block += `${row.map(quoted).join(',')}\r\n`;
    if (block.length > 16384) {
      yield block;
      block = '';
    }
  }
  yield block;
}

export const handler = awslambda.streamifyResponse(async (event, responseStream) => {
  const count = event.rows ?? 10;

  if (!Number.isInteger(count) || count < 0 || count > 10_000_000) {
    throw new RangeError('rows is 0 to 10000000');
  }
  responseStream.setContentType('text/csv; charset=utf-8');
  await pipeline(Readable.from(lines(count)), responseStream);
});
