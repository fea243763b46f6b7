"""@aws-sdk/client-lambda: npm's, the last one that runs on Debian's Node.js."""

import base64
import json

import npm
import pytest
from aws import BOOTSTRAP, ROLE, zipped

SDK = "@aws-sdk/client-lambda@3.967.0"

HANDLER = """
exports.handler = async (event, context) => {
  if (event.fail) throw new RangeError('as asked');
  if (event.exit) process.exit(3);
  console.log('saw', event.n);
  return { saw: event, custom: context.clientContext && context.clientContext.custom };
};
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
  for (let i = 0; i < 3; i++) {
    stream.write(`part ${i};`);
    await new Promise((done) => setTimeout(done, 50));
  }
  if (event.fail) throw new RangeError('half way');
  stream.end();
});
"""

# `given` is what Python wants of it; what a scenario returns is printed as JSON.
SCRIPT = """
import * as L from '@aws-sdk/client-lambda';
const given = JSON.parse(process.env.GIVEN);
const client = new L.LambdaClient({
  endpoint: given.endpoint, region: 'us-east-1', maxAttempts: 1,
  credentials: { accessKeyId: given.key, secretAccessKey: given.secret },
});
const zip = (name) => Buffer.from(given.zips[name], 'base64');
const text = (bytes) => Buffer.from(bytes).toString();
const wait = { client, maxWaitTime: 60, minDelay: 0.1, maxDelay: 0.5 };
const send = (name, input) => client.send(new L[`${name}Command`](input));
const create = async (FunctionName, more = {}) => {
  const made = await send('CreateFunction', {
    FunctionName, Runtime: 'nodejs20.x', Handler: 'index.handler', Role: given.role, Timeout: 5,
    Code: { ZipFile: zip('node') }, ...more,
  });
  const waited = await L.waitUntilFunctionActiveV2(wait, { FunctionName });
  return { made, state: waited.state };
};
const gone = (FunctionName) => send('DeleteFunction', { FunctionName });
const invoke = async (FunctionName, event, more = {}) => {
  const reply = await send('Invoke', { FunctionName, Payload: JSON.stringify(event), ...more });
  return { ...reply, Payload: JSON.parse(text(reply.Payload) || 'null') };
};
const failure = async (promise) => {
  try { await promise; } catch (e) {
    return { name: e.name, status: e.$metadata?.httpStatusCode, fault: e.$fault, message: e.message,
             known: e instanceof L.LambdaServiceException,
             own: e.name in L && e instanceof L[e.name], requestId: Boolean(e.$metadata?.requestId) };
  }
  return null;
};

const scenarios = {
  async life() {
    const { made, state } = await create('js-life', { Environment: { Variables: { A: '1' } } });
    const exists = await L.waitUntilFunctionExists(wait, { FunctionName: 'js-life' });
    const first = await invoke('js-life', { n: 1 });
    const config = await send('GetFunctionConfiguration', { FunctionName: 'js-life' });
    const code = await send('UpdateFunctionCode', {
      FunctionName: 'js-life', ZipFile: zip('other'), RevisionId: config.RevisionId });
    const updated = await L.waitUntilFunctionUpdatedV2(wait, { FunctionName: 'js-life' });
    const second = await invoke('js-life', {});
    await send('UpdateFunctionConfiguration', { FunctionName: 'js-life', MemorySize: 256, Timeout: 7 });
    await L.waitUntilFunctionUpdated(wait, { FunctionName: 'js-life' });
    const after = (await send('GetFunction', { FunctionName: 'js-life' })).Configuration;
    const deleted = await gone('js-life');
    const missing = await failure(send('GetFunction', { FunctionName: 'js-life' }));
    return { made, state, exists: exists.state, first, config, code, updated: updated.state, second, after,
             deleted: deleted.$metadata.httpStatusCode, missing };
  },
  async pages() {
    const names = ['js-page-1', 'js-page-2', 'js-page-3'];
    for (const name of names) await create(name);
    const pages = [];
    for await (const page of L.paginateListFunctions({ client, pageSize: 2 }, {})) {
      pages.push(page.Functions.map((f) => f.FunctionName));
    }
    for (const name of names) await gone(name);
    return { names, pages };
  },
  async calls() {
    await create('js-calls');
    const context = Buffer.from(JSON.stringify({ custom: { who: 'Zoë' } })).toString('base64');
    const reply = await invoke('js-calls', { n: 7 }, { LogType: 'Tail', ClientContext: context });
    const failed = await invoke('js-calls', { fail: true });
    const left = await invoke('js-calls', { exit: true });
    const again = await invoke('js-calls', { n: 8 });
    const dry = await send('Invoke', { FunctionName: 'js-calls', InvocationType: 'DryRun' });
    await gone('js-calls');
    return { reply, log: text(Buffer.from(reply.LogResult, 'base64')), failed, left, again, dry: dry.StatusCode };
  },
  async stream() {
    await create('js-stream', { Handler: 'index.stream' });
    const read = async (event) => {
      const reply = await send('InvokeWithResponseStream', {
        FunctionName: 'js-stream', Payload: JSON.stringify(event) });
      const parts = [];
      let complete = null;
      for await (const e of reply.EventStream) {
        if (e.PayloadChunk) parts.push(text(e.PayloadChunk.Payload));
        if (e.InvokeComplete) complete = e.InvokeComplete;
      }
      return { parts, complete, type: reply.ResponseStreamContentType, version: reply.ExecutedVersion };
    };
    const result = { whole: await read({}), half: await read({ fail: true }), again: await read({}) };
    await gone('js-stream');
    return result;
  },
  async errors() {
    await create('js-errors');
    const stranger = new L.LambdaClient({ endpoint: given.endpoint, region: 'us-east-1', maxAttempts: 1,
      credentials: { accessKeyId: 'AKIDNOBODY', secretAccessKey: given.secret } });
    const liar = new L.LambdaClient({ endpoint: given.endpoint, region: 'us-east-1', maxAttempts: 1,
      credentials: { accessKeyId: given.key, secretAccessKey: 'another' } });
    const result = {
      twice: await failure(create('js-errors')),
      zip: await failure(create('js-bad', { Code: { ZipFile: Buffer.from('no zip') } })),
      none: await failure(send('Invoke', { FunctionName: 'js-nobody' })),
      revision: await failure(send('UpdateFunctionConfiguration', {
        FunctionName: 'js-errors', Timeout: 9, RevisionId: 'x' })),
      json: await failure(send('Invoke', { FunctionName: 'js-errors', Payload: '{' })),
      stranger: await failure(stranger.send(new L.GetFunctionCommand({ FunctionName: 'js-errors' }))),
      liar: await failure(liar.send(new L.GetFunctionCommand({ FunctionName: 'js-errors' }))),
    };
    await gone('js-errors');
    return result;
  },
};
console.log(JSON.stringify(await scenarios[given.scenario]()));
"""


@pytest.fixture(scope="module")
def key(dev):
    key = dev.json("keys", "create")
    yield key
    dev.mayfly("keys", "delete", key["access_key_id"])


@pytest.fixture(params=[8080, 8090], ids=["gateway", "controller"])
def sdk(dev, key, tmp_path, request):
    """sdk("life") runs a scenario and gives what it returns."""
    (tmp_path / "client.mjs").write_text(SCRIPT)
    (tmp_path / "node_modules").symlink_to(npm.installed(SDK) / "node_modules")
    zips = {"node": zipped({"index.js": HANDLER}),
            "other": zipped({"index.js": "exports.handler = async () => 'other';\n"}),
            "provided": zipped({"bootstrap": BOOTSTRAP})}

    def run(scenario):
        given = {"scenario": scenario, "endpoint": f"http://127.0.0.1:{request.param}", "role": ROLE,
                 "key": key["access_key_id"], "secret": key["secret_access_key"],
                 "zips": {name: base64.b64encode(data).decode() for name, data in zips.items()}}
        env = dict(dev.env, GIVEN=json.dumps(given))
        from lib import run as run_command
        result = run_command(["nsenter", f"--net={dev.network()}", "--", "node", tmp_path / "client.mjs"],
                             env=env)
        return json.loads(result.stdout)

    return run


# Made, waited for, called, changed, called, deleted.
def test_life(sdk):
    seen = sdk("life")
    assert seen["made"]["State"] == "Pending" and seen["made"]["FunctionName"] == "js-life"
    assert (seen["state"], seen["exists"], seen["updated"]) == ("SUCCESS", "SUCCESS", "SUCCESS")
    assert seen["first"]["StatusCode"] == 200 and seen["first"]["Payload"]["saw"] == {"n": 1}
    assert seen["first"]["ExecutedVersion"] == "$LATEST" and "FunctionError" not in seen["first"]
    assert seen["config"]["Environment"]["Variables"] == {"A": "1"}
    assert seen["code"]["CodeSha256"] != seen["config"]["CodeSha256"]
    assert seen["second"]["Payload"] == "other"
    assert (seen["after"]["MemorySize"], seen["after"]["Timeout"]) == (256, 7)
    assert seen["deleted"] in (200, 204)
    assert (seen["missing"]["name"], seen["missing"]["status"]) == ("ResourceNotFoundException", 404)


def test_pages(sdk):
    seen = sdk("pages")
    assert len(seen["pages"]) >= 2 and all(len(page) <= 2 for page in seen["pages"])
    listed = [name for page in seen["pages"] for name in page]
    assert [name for name in listed if name in seen["names"]] == seen["names"]


def test_calls(sdk):
    seen = sdk("calls")
    assert seen["reply"]["Payload"] == {"saw": {"n": 7}, "custom": {"who": "Zoë"}}
    assert "START RequestId:" in seen["log"] and "REPORT RequestId:" in seen["log"]
    assert seen["failed"]["FunctionError"] == "Unhandled" and seen["failed"]["StatusCode"] == 200
    assert seen["failed"]["Payload"]["errorType"] == "RangeError"
    assert seen["failed"]["Payload"]["errorMessage"] == "as asked" and seen["failed"]["Payload"]["trace"]
    assert seen["left"]["Payload"]["errorType"] == "Runtime.ExitError"
    assert seen["left"]["Payload"]["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert seen["again"]["Payload"]["saw"] == {"n": 8}
    assert seen["dry"] == 204


# Frames as the SDK decodes them; an error after the first byte comes with the end.
def test_stream(sdk):
    seen = sdk("stream")
    for whole in (seen["whole"], seen["again"]):
        assert "".join(whole["parts"]) == "part 0;part 1;part 2;" and len(whole["parts"]) >= 2, whole
        assert "ErrorCode" not in whole["complete"], whole
    assert "".join(seen["half"]["parts"]).startswith("part 0;")
    assert seen["half"]["complete"]["ErrorCode"] == "RangeError", seen["half"]
    assert json.loads(seen["half"]["complete"]["ErrorDetails"]) == {
        "errorType": "RangeError", "errorMessage": "half way"}


ERRORS = pytest.StashKey()


@pytest.fixture
def errors(sdk, request):
    key = request.node.callspec.params["sdk"]
    made = request.config.stash.setdefault(ERRORS, {})
    if key not in made:
        made[key] = sdk("errors")
    return made[key]


# Each error is the class that the SDK has for it.
@pytest.mark.parametrize("which,name,status", [
    ("twice", "ResourceConflictException", 409),
    ("zip", "InvalidParameterValueException", 400),
    ("none", "ResourceNotFoundException", 404),
    ("revision", "PreconditionFailedException", 412),
    ("json", "InvalidRequestContentException", 400),
    ("stranger", "UnrecognizedClientException", 403),
    ("liar", "InvalidSignatureException", 403),
])
def test_errors(errors, which, name, status):
    seen = errors[which]
    assert (seen["name"], seen["status"], seen["fault"]) == (name, status, "client"), seen
    assert seen["known"] and seen["message"] and seen["requestId"], seen
    assert seen["own"] == (status != 403), seen  # no operation's model has those
