#!/usr/bin/env node
// The smallest server that is worth deploying: it says what it was asked.
'use strict';

const http = require('node:http');

const server = http.createServer((request, response) => {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end();
    return;
  }
  const body = JSON.stringify({
    hello: process.env.GREETING ?? 'world',
    path: request.url,
    request_id: request.headers['x-mayfly-request-id'] ?? null,
  }) + '\n';
  response.writeHead(200, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
});

// mayfly keeps connections for the next call and closes them itself when they are idle.
server.keepAliveTimeout = 0;
// It names the port; the call comes when it accepts.
server.listen(Number(process.env.PORT), '127.0.0.1');

// Asked to end, it lets the calls that run finish.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections?.();
});
