"""@aws-sdk/client-lambda (npm), the JavaScript SDK: waiters, paginators, streams, errors."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from aws import BOOTSTRAP, ROLE, Aws, zipped
from lib import run

SDK = "@aws-sdk/client-lambda@3.1164.0"

SCRIPT = r"""
import { readFileSync } from 'node:fs';
import * as L from '@aws-sdk/client-lambda';

const [endpoint, zip, role] = process.argv.slice(2);
const client = new L.LambdaClient({ endpoint, region: 'us-east-1', maxAttempts: 3 });
const code = readFileSync(zip);
const said = {};
const text = (bytes) => new TextDecoder().decode(bytes);

async function failure(command) {
  try {
    await client.send(command);
    return 'none';
  } catch (e) {
    return `${e.name} ${e.$metadata.httpStatusCode}`;
  }
}

const names = ['Sdk_1', 'Sdk_2', 'Sdk_3'];
for (const FunctionName of names) {
  await client.send(new L.CreateFunctionCommand({
    FunctionName, Role: role, Runtime: 'provided.al2023', Handler: 'h', Timeout: 5, Publish: true,
    Code: { ZipFile: code }, Environment: { Variables: { COLOUR: 'blue' } } }));
}
for (const FunctionName of names) {
  said.waited = (await L.waitUntilFunctionActiveV2({ client, maxWaitTime: 60 }, { FunctionName })).state;
}
said.published = (await L.waitUntilPublishedVersionActive(
  { client, maxWaitTime: 60 }, { FunctionName: 'Sdk_1', Qualifier: '1' })).state;

said.pages = [];
for await (const page of L.paginateListFunctions({ client, pageSize: 2 }, {})) {
  said.pages.push(page.Functions.map((f) => f.FunctionName).filter((n) => names.includes(n)));
}

const alias = await client.send(new L.CreateAliasCommand({
  FunctionName: 'Sdk_1', Name: 'live', FunctionVersion: '1' }));
said.alias = alias.AliasArn;
for (let i = 0; i < 300 && (await failure(new L.InvokeCommand({
  FunctionName: 'Sdk_1:live', Payload: '{}' }))) !== 'none'; i++) {
  await new Promise((r) => setTimeout(r, 100));
}
const reply = await client.send(new L.InvokeCommand({
  FunctionName: alias.AliasArn, Payload: JSON.stringify({ what: 'env' }), LogType: 'Tail' }));
said.reply = JSON.parse(text(reply.Payload));
said.version = reply.ExecutedVersion;
said.log = Buffer.from(reply.LogResult, 'base64').toString().split('\n').map((l) => l.split(' ')[0]);
const failed = await client.send(new L.InvokeCommand({
  FunctionName: 'Sdk_1', Payload: JSON.stringify({ what: 'fail' }) }));
said.functionError = [failed.FunctionError, JSON.parse(text(failed.Payload)).errorType];

const stream = await client.send(new L.InvokeWithResponseStreamCommand({
  FunctionName: 'Sdk_1', Payload: JSON.stringify({ a: 1 }), LogType: 'Tail' }));
let streamed = '';
for await (const event of stream.EventStream) {
  if (event.PayloadChunk) streamed += text(event.PayloadChunk.Payload);
  if (event.InvokeComplete) said.complete = Object.keys(event.InvokeComplete);
}
said.streamed = JSON.parse(streamed);

said.missing = await failure(new L.InvokeCommand({ FunctionName: 'nosuch' }));
said.conflict = await failure(new L.CreateAliasCommand({
  FunctionName: 'Sdk_1', Name: 'live', FunctionVersion: '1' }));
said.event = await failure(new L.InvokeCommand({ FunctionName: 'Sdk_1', InvocationType: 'Event' }));
await client.send(new L.PutFunctionConcurrencyCommand({
  FunctionName: 'Sdk_2', ReservedConcurrentExecutions: 0 }));
for (let i = 0; i < 300 && said.throttled !== 'TooManyRequestsException 429'; i++) {
  said.throttled = await failure(new L.InvokeCommand({ FunctionName: 'Sdk_2' }));
}
for (const FunctionName of names) {
  await client.send(new L.DeleteFunctionCommand({ FunctionName }));
}
console.log(JSON.stringify(said));
"""


@pytest.fixture(scope="module")
def sdk():
    """The SDK as npm has it: fetched once, and kept between runs."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    folder = cache / "mayfly-tests" / SDK.replace("@", "-").replace("/", "-")
    if (folder / "done").exists():
        return folder
    if shutil.which("npm") is None:
        pytest.skip(f"npm, with which {SDK} comes, is not installed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    npm = subprocess.Popen(
        ["npm", "install", "--no-audit", "--no-fund", "--fetch-retries", "1", SDK], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, stderr = npm.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(npm.pid, signal.SIGKILL)
        npm.communicate()
        pytest.skip(f"npm install {SDK} takes more than 5 minutes here")
    if npm.returncode != 0:
        pytest.skip(f"npm install {SDK}: {stderr.strip()[-300:]}")
    (folder / "done").touch()
    return folder


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


# One program's way through the SDK; what it saw is what AWS would have shown it.
def test_javascript_sdk(aws, sdk, tmp_path):
    (tmp_path / "f.zip").write_bytes(zipped({"bootstrap": BOOTSTRAP}))
    script = sdk / "mayfly-test.mjs"  # beside the modules, which is where it looks for them
    script.write_text(SCRIPT)
    env = dict(aws.client.env, AWS_ACCESS_KEY_ID=aws.key, AWS_SECRET_ACCESS_KEY=aws.secret,
               NODE_NO_WARNINGS="1", HOME=str(tmp_path))
    out = run(["nsenter", f"--net={aws.network}", "--", "node", str(script), "http://127.0.0.1:8080",
               str(tmp_path / "f.zip"), ROLE], env=env, check=True).stdout
    said = json.loads(out)
    assert said["waited"] == said["published"] == "SUCCESS"
    assert sum(said["pages"], []) == ["Sdk_1", "Sdk_2", "Sdk_3"] and len(said["pages"]) >= 2
    assert said["alias"].endswith(":function:Sdk_1:live")
    assert (said["reply"], said["version"]) == ({"env": "blue"}, "1")
    assert said["log"][:2] == ["START", "working"] and "END" in said["log"]
    assert said["functionError"] == ["Unhandled", "Wanted"]
    assert said["streamed"] == {"echo": {"a": 1}} and said["complete"] == ["LogResult"]
    assert said["missing"] == "ResourceNotFoundException 404"
    assert said["conflict"] == "ResourceConflictException 409"
    assert said["event"] == "UnsupportedOperationException 501"
    assert said["throttled"] == "TooManyRequestsException 429"
