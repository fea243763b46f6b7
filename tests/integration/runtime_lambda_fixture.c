#include "tests/integration/runtime_lambda_fixture.h"

struct runtime_bench bench;

/* What an event says is done. */
static const char bootstrap[] =
    "#!/usr/bin/python3\n"
    "import base64, http.client, json, os, signal, socket, sys, threading, time\n"
    "api = os.environ['AWS_LAMBDA_RUNTIME_API']\n"
    "base = '/2018-06-01/runtime/'\n"
    "def ask(method, path, body=None, headers={}, **k):\n"
    "    c = http.client.HTTPConnection(api)\n"
    "    c.request(method, path, body, headers, **k)\n"
    "    r = c.getresponse()\n"
    "    return r, r.read()\n"
    "def raw(data):\n"
    "    host, port = api.split(':')\n"
    "    s = socket.create_connection((host, int(port)))\n"
    "    s.sendall(data); out = b''\n"
    "    try:\n"
    "        while True:\n"
    "            d = s.recv(65536)\n"
    "            if not d: break\n"
    "            out += d\n"
    "    except ConnectionError: pass\n"
    "    return out\n"
    "def pieces(n):\n"
    "    for i in range(n): yield bytes(65536)\n"
    "def serve():\n"
    "    r, event = ask('GET', base + 'invocation/next')\n"
    "    id = r.headers['Lambda-Runtime-Aws-Request-Id']\n"
    "    to = base + 'invocation/' + id\n"
    "    what = event.decode('latin1').split(' ')[0]\n"
    "    if what == 'event':\n"
    "        out = {k.lower(): v for k, v in r.headers.items()}\n"
    "        out['env'] = dict(os.environ); out['event'] = event.decode()\n"
    "        ask('POST', to + '/response', json.dumps(out))\n"
    "    elif what == 'error':\n"
    "        ask('POST', to + '/error', "
    "'{\"errorMessage\":\"no such thing\",\"errorType\":\"KeyError\"}',\n"
    "            {'Lambda-Runtime-Function-Error-Type': 'Function.Odd'})\n"
    "    elif what == 'headers':\n"
    "        ask('POST', to + '/response', json.dumps(dict(r.headers)))\n"
    "    elif what == 'prelude':\n"
    "        told = event.split(b' ', 1)[1]\n"
    "        ask('POST', to + '/response', iter([told[:7], told[7:]]), {'Content-Type':\n"
    "            'application/vnd.awslambda.http-integration-response', "
    "'Transfer-Encoding': 'chunked',\n"
    "            'Lambda-Runtime-Function-Response-Mode': 'streaming'}, "
    "encode_chunked=True)\n"
    "    elif what == 'preludewhole':\n"
    "        r, b = ask('POST', to + '/response', event.split(b' ', 1)[1], "
    "{'Content-Type':\n"
    "            'application/vnd.awslambda.http-integration-response'})\n"
    "        print('answer', r.status, flush=True)\n"
    "    elif what == 'chunked':\n"
    "        n = int(event.split(b' ')[1])\n"
    "        def parts():\n"
    "            for i in range(0, n, 65536): yield bytes(min(65536, n - i))\n"
    "        r, b = ask('POST', to + '/response', parts(), {'Transfer-Encoding': "
    "'chunked'},\n"
    "            encode_chunked=True)\n"
    "        print('answer', r.status, b.decode().strip(), flush=True)\n"
    "    elif what == 'chunkederror':\n"
    "        doc = base64.b64encode(b'{\"errorType\":\"Late\",\"errorMessage\":\"x\"}')\n"
    "        raw(b'POST ' + to.encode() + b'/response HTTP/1.1\\r\\nHost: x\\r\\n'\n"
    "            b'Transfer-Encoding: chunked\\r\\nConnection: "
    "close\\r\\n\\r\\n4\\r\\npart\\r\\n'\n"
    "            b'0\\r\\nLambda-Runtime-Function-Error-Type: Function.Late\\r\\n'\n"
    "            b'Lambda-Runtime-Function-Error-Body: ' + doc + b'\\r\\n\\r\\n')\n"
    "    elif what == 'answerandhang':\n"
    "        ask('POST', to + '/response', 'done'); time.sleep(1000)\n"
    "    elif what == 'answerandexit':\n"
    "        ask('POST', to + '/response', 'done'); os._exit(5)\n"
    "    elif what == 'late':\n"
    "        while not os.path.exists('/tmp/go'): time.sleep(0.01)\n"
    "        r, b = ask('POST', to + '/response', 'late')\n"
    "        print('late answer', r.status, b.decode().strip(), flush=True)\n"
    "    elif what == 'go':\n"
    "        open('/tmp/go', 'w').close(); ask('POST', to + '/response', 'gone')\n"
    "    elif what == 'opt':\n"
    "        ask('POST', to + '/response', open('/opt/' + event.decode().split(' "
    "')[1]).read())\n"
    "    elif what == 'raw':\n"
    "        method, path = event.decode().split(' ')[1:3]\n"
    "        h = dict(x.split('=', 1) for x in event.decode().split(' ')[3:])\n"
    "        r2, b = ask(method, path, b'{}', h)\n"
    "        ask('POST', to + '/response', '%d %s' % (r2.status, b.decode().strip()))\n"
    "    elif what == 'trailer' or what == 'latetrailer':\n"
    "        doc = base64.b64encode(b'{\"errorType\":\"Late\",\"errorMessage\":\"x\"}')\n"
    "        part = b'4\\r\\npart\\r\\n' if what == 'latetrailer' else b''\n"
    "        raw(b'POST ' + to.encode() + b'/response HTTP/1.1\\r\\nHost: x\\r\\n'\n"
    "            b'Transfer-Encoding: chunked\\r\\nConnection: close\\r\\n'\n"
    "            b'Lambda-Runtime-Function-Response-Mode: streaming\\r\\n'\n"
    "            b'Trailer: Lambda-Runtime-Function-Error-Type\\r\\n\\r\\n' + part +\n"
    "            b'0\\r\\nLambda-Runtime-Function-Error-Type: Function.Late\\r\\n'\n"
    "            b'Lambda-Runtime-Function-Error-Body: ' + doc + b'\\r\\n\\r\\n')\n"
    "    elif what == 'stream':\n"
    "        ask('POST', to + '/response', pieces(320), {'Transfer-Encoding': "
    "'chunked',\n"
    "            'Content-Type': 'text/x-stream',\n"
    "            'Lambda-Runtime-Function-Response-Mode': 'streaming'}, "
    "encode_chunked=True)\n"
    "    elif what == 'toolarge':\n"
    "        r, b = ask('POST', to + '/response', bytes(6291557))\n"
    "        print('answer', r.status, b.decode().strip(), flush=True)\n"
    "    elif what == 'mode':\n"
    "        r, b = ask('POST', to + '/response', 'x', "
    "{'Lambda-Runtime-Function-Response-Mode': 'odd'})\n"
    "        print('answer', r.status, b.decode().strip(), flush=True)\n"
    "    elif what == 'exit': print('dying', flush=True); os._exit(3)\n"
    "    elif what == 'half':\n"
    "        host, port = api.split(':')\n"
    "        s = socket.create_connection((host, int(port)))\n"
    "        s.sendall(b'POST ' + to.encode() + b'/response HTTP/1.1\\r\\nHost: "
    "x\\r\\n'\n"
    "                  b'Content-Length: 100\\r\\n\\r\\nhalf')\n"
    "        time.sleep(0.1)\n"
    "        if event == b'half exit': os._exit(4)\n"
    "        s.close()\n"
    "    elif what == 'oom': x = bytearray(200 << 20)\n"
    "    elif what == 'again':\n"
    "        r2, e2 = ask('GET', base + 'invocation/next')\n"
    "        same = e2 == event and r2.headers['Lambda-Runtime-Aws-Request-Id'] == id\n"
    "        ask('POST', to + '/response', 'same' if same else 'other')\n"
    "    elif what == 'twice':\n"
    "        ask('POST', to + '/response', 'first')\n"
    "        r, b = ask('POST', to + '/response', 'second')\n"
    "        print('answer', r.status, b.decode().strip(), flush=True)\n"
    "    elif what == 'garbage':\n"
    "        out = [raw(b'\\0\\1\\2garbage\\r\\n\\r\\n')[:12], raw(b'GET / "
    "HTTP/9.9\\r\\n\\r\\n')[:12]]\n"
    "        out += [ask('GET', '/nonsense')[0].status, ask('PUT', base)[0].status]\n"
    "        out += [ask('GET', '/2018-06-01/ping')[1]]\n"
    "        out += [ask('POST', base + 'invocation/none/response', 'x')[0].status]\n"
    "        out += [ask('POST', base + 'init/error', 'x')[0].status]\n"
    "        ask('POST', to + '/response', repr(out))\n"
    "    elif what == 'wait': time.sleep(1000)\n"
    "    elif what == 'empty': ask('POST', to + '/response', b'')\n"
    "    else: ask('POST', to + '/response', event, {'Content-Type': 'text/plain'})\n"
    "def forever():\n"
    "    while True: serve()\n"
    "for i in range(int(os.environ.get('AWS_LAMBDA_MAX_CONCURRENCY', '1')) - 1):\n"
    "    threading.Thread(target=forever).start()\n"
    "print('begun', flush=True)\n"
    "forever()\n";

void lambda_run(struct bench_instance *i, uint32_t concurrency)
{
    bench_instance_init(i, SPEC_RUNTIME_PROVIDED, NULL);
    i->spec.concurrency = concurrency;
    bench_instance_run(&bench, i);
}

void lambda_begin(struct bench_instance *i, struct bench_call *c, const char *event)
{
    const struct bench_request r = {.content_length = strlen(event)};

    assert_int_equal(bench_call_start(&bench, i, c, &r), 0);
    assert_int_equal(runtime_call_write(c->c, event, strlen(event)), 0);
    assert_int_equal(runtime_call_end(c->c), 0);
}

void lambda_dies(struct bench_call *c, const char *event)
{
    struct bench_instance i;

    lambda_run(&i, 1);
    bench_call_do(&bench, &i, c, event);
    WAIT_FOR(&bench, i.n_gone == 1);
    assert_int_equal(i.n_failed, 1);
    assert_int_equal(i.cause, c->cause);
    assert_true(i.failed_at < c->closed_at);
    bench_instance_end(&bench, &i);
}

int lambda_bench_open(void **state)
{
    (void)state;
    runtime_bench_open(&bench);
    sandbox_bench_file(&bench.sandboxes, "bootstrap", bootstrap);
    return 0;
}

int lambda_bench_close(void **state)
{
    (void)state;
    runtime_bench_close(&bench);
    return 0;
}
