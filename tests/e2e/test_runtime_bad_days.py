"""Bad days of functions, in each language, seen by who calls them as Lambda's clients do: each ends
as AWS documents it, and the next call gets a healthy instance.

Python and JavaScript on mayfly's runtimes; Go, C and shell speak the Runtime API by hand."""

import json
import os
import shutil
import subprocess

import pytest
from aws import Aws, frames
from lib import ROOT, wait_for

FUNCTIONS = ROOT / "tests" / "e2e" / "functions"

PYTHON = """
import os, time
started = str(time.time_ns())
if os.environ.get("INIT") == "error":
    raise RuntimeError("not today")
if os.environ.get("INIT") == "never":
    time.sleep(3600)
def handler(event, context):
    match event.get("do"):
        case "raise":
            raise ValueError("as wanted")
        case "exit":
            os._exit(3)
        case "leave":
            raise SystemExit(4)
        case "hang":
            time.sleep(3600)
        case "no json":
            return {1, 2}
    return started
"""

NODE = """
const started = String(process.hrtime.bigint());
if (process.env.INIT === 'error') throw new Error('not today');
if (process.env.INIT === 'never') for (;;);
async function answer(event) {
  switch (event.do) {
    case 'raise': throw new RangeError('as wanted');
    case 'exit': process.exit(3);
    case 'hang': await new Promise((done) => setTimeout(done, 3600000)); break;
    case 'no json': return 1n;
    case 'stray': setTimeout(() => { throw new TypeError('nobody catches it'); }, 1);
      await new Promise((done) => setTimeout(done, 3600000));
  }
  return started;
}
function twice(event, context, callback) {
  callback(null, 'first');
  callback(null, 'second');
  callback(new Error('third'));
}
const stream = awslambda.streamifyResponse(async (event, out) => {
  out.write('begun');
  throw new RangeError('no more');
});
"""
CJS = NODE + """
exports.handler = (event, context, callback) =>
  event.do === 'twice' ? twice(event, context, callback) : void answer(event).then((r) => callback(null, r), callback);
exports.stream = stream;
"""
ESM = NODE + """
export async function handler(event, context) { return answer(event); }
export { twice, stream };
"""

BY_HAND = ["go", "c", "shell"]
MANAGED = ["python", "cjs", "esm"]
LANGUAGES = MANAGED + BY_HAND


@pytest.fixture(scope="session")
def bootstraps(tmp_path_factory):
    """bootstraps("go") is the program, made once."""
    out = tmp_path_factory.mktemp("bad-days")

    def make(language):
        path = out / language
        if path.exists():
            return path.read_bytes()
        if language == "shell":
            shutil.copy(FUNCTIONS / "bad_days.sh", path)
        elif language == "c":
            subprocess.run(["gcc", "-O2", "-Wall", "-static", "-o", path, FUNCTIONS / "bad_days.c"], check=True)
        else:
            if shutil.which("go") is None:
                pytest.skip("golang-go is not installed")
            subprocess.run(["go", "build", "-o", path, FUNCTIONS / "bad_days.go"], check=True,
                           env=dict(os.environ, CGO_ENABLED="0", GO111MODULE="off", HOME=str(out),
                                    GOCACHE=str(out / "cache")))
        return path.read_bytes()

    return make


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


def settings(bootstraps, language):
    if language == "python":
        return {"app.py": PYTHON}, {"Runtime": "python3.11", "Handler": "app.handler"}
    if language == "cjs":
        return {"index.js": CJS}, {"Runtime": "nodejs20.x", "Handler": "index.handler"}
    if language == "esm":
        return {"index.mjs": ESM}, {"Runtime": "nodejs20.x", "Handler": "index.handler"}
    return {"bootstrap": bootstraps(language)}, {"Runtime": "provided.al2023", "Handler": "any"}


@pytest.fixture(scope="module")
def function(aws, bootstraps):
    """function("go") is the name of a function of that language, which is there and serves."""
    made = []

    def make(language, handler=None):
        name = f"bad-{language}" + (f"-{handler.replace('.', '-')}" if handler else "")
        if name not in made:
            files, more = settings(bootstraps, language)
            if handler:
                more["Handler"] = handler
            reply = aws.create(name, files, Timeout=2, MemorySize=256, **more)
            assert reply.status == 201, reply
            aws.wait_active(name)
            made.append(name)
        return name

    yield make
    for name in made:
        aws.request("DELETE", f"/2015-03-31/functions/{name}")


def invoke(aws, name, **event):
    """(payload, error): what FunctionError says, or None."""
    reply = aws.invoke(name, event)
    assert reply.status == 200, reply
    return reply.body.decode(), reply.headers.get("X-Amz-Function-Error"), reply.headers["x-amzn-RequestId"]


def healthy(aws, name):
    """The instance that serves now, by the time of its start."""
    payload, error, _ = invoke(aws, name)
    assert error is None and json.loads(payload).isdigit(), payload
    return json.loads(payload)


def failed(aws, name, **event):
    payload, error, request_id = invoke(aws, name, **event)
    assert error == "Unhandled", payload
    return json.loads(payload), request_id


@pytest.mark.parametrize("language", LANGUAGES)
def test_throws(aws, function, language):
    name = function(language)
    before = healthy(aws, name)
    document, _ = failed(aws, name, do="raise")
    kind = {"python": "ValueError", "cjs": "RangeError", "esm": "RangeError"}.get(language, "Wanted")
    assert (document["errorType"], document["errorMessage"]) == (kind, "as wanted")
    if language == "python":
        assert any("in handler" in line for line in document["stackTrace"])
    elif language in MANAGED:
        assert document["trace"][0] == "RangeError: as wanted"
    assert healthy(aws, name) == before  # it lives on


@pytest.mark.parametrize("language", LANGUAGES)
def test_exits(aws, function, language):
    name = function(language)
    before = healthy(aws, name)
    document, request_id = failed(aws, name, do="exit")
    assert document == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime exited with error: exit status 3"}
    assert healthy(aws, name) != before


def test_leaves_by_an_exception(aws, function):
    """sys.exit() is an exit in Python, also on Lambda."""
    name = function("python")
    document, _ = failed(aws, name, do="leave")
    assert document["errorType"] == "Runtime.ExitError" and document["errorMessage"].endswith("exit status 4")
    healthy(aws, name)


@pytest.mark.parametrize("language", ["cjs", "esm"])
def test_throws_where_nobody_catches(aws, function, language):
    name = function(language)
    before = healthy(aws, name)
    document, _ = failed(aws, name, do="stray")
    assert document["errorMessage"] == "nobody catches it"
    assert healthy(aws, name) != before


# Killed at its time-out; what it would have answered later never comes.
@pytest.mark.parametrize("language", LANGUAGES)
def test_hangs(aws, function, language):
    name = function(language)
    before = healthy(aws, name)
    document, request_id = failed(aws, name, do="hang")
    assert document == {"errorType": "Sandbox.Timedout",
                        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 2.00 seconds"}
    assert healthy(aws, name) != before


@pytest.mark.parametrize("language", LANGUAGES)
def test_returns_what_is_no_json(aws, function, language):
    """Runtimes that make JSON say that they cannot; a bootstrap's bytes are its own affair."""
    name = function(language)
    before = healthy(aws, name)
    if language in MANAGED:
        document, _ = failed(aws, name, do="no json")
        assert document["errorType"] == "Runtime.MarshalError", document
    else:
        assert invoke(aws, name, do="no json")[:2] == ("{not json", None)
    assert healthy(aws, name) == before


# The first answer counts; who speaks the API by hand is told so.
@pytest.mark.parametrize("language", ["cjs", "esm"] + BY_HAND)
def test_answers_twice(aws, function, language):
    name = function(language, "index.twice" if language == "esm" else None)
    assert invoke(aws, name, do="twice")[:2] == ('"first"', None)
    if language in BY_HAND:
        assert json.loads(invoke(aws, name, do="last")[0]) == "400 InvalidRequestID"
    if language != "esm":  # where the handler is another one
        healthy(aws, name)


@pytest.mark.parametrize("language", BY_HAND)
def test_answers_somebody_else(aws, function, language):
    name = function(language)
    assert invoke(aws, name, do="wrong id")[:2] == ('"mine"', None)
    assert json.loads(invoke(aws, name, do="last")[0]) == "400 InvalidRequestID"


# After bytes of a stream: those who read it as a stream get them, and the error at its end; the others
# the error; on mayfly's own path the reply is cut.
@pytest.mark.parametrize("language", ["cjs", "esm"] + BY_HAND)
def test_streams_and_fails(dev, aws, function, language):
    name = function(language, "index.stream" if language in MANAGED else None)
    kind = "RangeError" if language in MANAGED else "HalfWay"
    for _ in range(2):  # the second by the same instance, which lives on
        reply = aws.request("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations",
                            json.dumps({"do": "stream and fail"}).encode())
        seen = [(headers[":event-type"], payload) for headers, payload in frames(reply.body)]
        assert b"".join(p for kind_of, p in seen if kind_of == "PayloadChunk") == b"begun", seen
        end = json.loads(seen[-1][1])
        assert seen[-1][0] == "InvokeComplete" and end["ErrorCode"] == kind, end
        assert json.loads(end["ErrorDetails"]) == {"errorType": kind, "errorMessage": "no more"}
    document, _ = failed(aws, name, do="stream and fail")
    assert (document["errorType"], document["errorMessage"]) == (kind, "no more")
    with pytest.raises((ConnectionError, Exception)) as cut:
        dev.call(name, b'{"do": "stream and fail"}')
    assert cut.typename in ("IncompleteRead", "ConnectionResetError", "RemoteDisconnected"), cut
    if language not in MANAGED:
        healthy(aws, name)


@pytest.mark.parametrize("language", BY_HAND)
def test_never_calls_next(aws, function, language):
    """Its answer counts; when its time is over its instance is replaced, for the call that waits."""
    name = function(language)
    before = healthy(aws, name)
    assert invoke(aws, name, do="never next")[:2] == ('"answered"', None)
    assert healthy(aws, name) != before


# A version that cannot begin is refused, with the reason; the one before goes on serving.
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("how", ["error", "never"])
def test_fails_in_init(dev, aws, function, language, how):
    name = function(language)
    healthy(aws, name)
    reply = aws.request("PUT", f"/2015-03-31/functions/{name}/configuration", json.dumps(
        {"Environment": {"Variables": {"INIT": how}}}).encode(), {"Content-Type": "application/json"})
    assert reply.status == 200, reply

    def settled():
        seen = aws.request("GET", f"/2015-03-31/functions/{name}/configuration").json()
        return seen if seen["LastUpdateStatus"] != "InProgress" else None

    seen = wait_for("the end of the update", settled, timeout=90)
    assert seen["LastUpdateStatus"] == "Failed", seen
    if how == "error":
        assert "not today" in seen["LastUpdateStatusReason"], seen
    healthy(aws, name)
