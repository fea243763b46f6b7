"""The Runtime API from deploy to reply, by a bootstrap that tells what it was given."""

import base64
import json
import re

import pytest
from lib import Background, wait_for

# Asks with as many threads as it may; "meet" waits until three of them have an event.
BOOTSTRAP = """#!/usr/bin/python3
import http.client, json, os, threading, uuid
here = str(uuid.uuid4())
barrier = threading.Barrier(3)
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
base = "/2018-06-01/runtime/"

def ask(connection, method, path, body=None, headers={}):
    connection.request(method, path, body, headers, encode_chunked=True)
    reply = connection.getresponse()
    return reply, reply.read()

def work():
    connection = http.client.HTTPConnection(api)
    while True:
        event, body = ask(connection, "GET", base + "invocation/next")
        id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        seen = {"id": here, "event": body.decode(), "headers": {k.lower(): v for k, v in event.headers.items()}}
        what = json.loads(body).get("do")
        headers = {"Content-Type": "application/json"}
        chunks = None
        if what == "meet":
            barrier.wait(60)
        elif what == "ping":
            reply, body = ask(connection, "GET", "/2018-06-01/ping")
            seen["ping"] = [reply.status, body.decode()]
        elif what == "env":
            seen["env"] = dict(os.environ)
        elif what == "empty trailers":
            headers["Transfer-Encoding"] = "chunked"
            headers["Trailer"] = "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        elif what == "mode":
            headers["Lambda-Runtime-Function-Response-Mode"] = "sideways"
        elif what == "large":
            seen["pad"] = "x" * (6291556 + 1)
        answer = json.dumps(seen).encode()
        if what == "empty trailers":
            chunks = iter([answer[:10], answer[10:]])
        reply, body = ask(connection, "POST", base + f"invocation/{id}/response", chunks or answer, headers)
        print(f"{what}: {reply.status} {body.decode()}", flush=True)

for _ in range(int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY", 1))):
    threading.Thread(target=work).start()
"""


@pytest.fixture(scope="module")
def told(dev, tmp_path_factory):
    """told(do="…") is what the bootstrap tells about a call."""
    folder = tmp_path_factory.mktemp("tells")
    (folder / "bootstrap").write_text(BOOTSTRAP)
    (folder / "bootstrap").chmod(0o755)
    dev.deploy(folder, "tells", "--concurrency", "3", "--max-scale", "1")

    def call(headers=None, **event):
        reply = dev.call("tells", json.dumps(event).encode(), headers=headers)
        return reply, json.loads(reply.body)

    return call


# Three events are out at once in one instance, each with an id of its own.
def test_several_at_once(told):
    calls = [Background(told, do="meet", n=n) for n in range(3)]
    seen = [call.result()[1] for call in calls]
    assert len({s["id"] for s in seen}) == 1
    assert len({s["headers"]["lambda-runtime-aws-request-id"] for s in seen}) == 3
    assert sorted(json.loads(s["event"])["n"] for s in seen) == [0, 1, 2]


def test_the_environment(told):
    env = told(do="env")[1]["env"]
    assert env["AWS_LAMBDA_MAX_CONCURRENCY"] == "3"
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == "tells" and env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"].isdigit()
    assert env["LAMBDA_TASK_ROOT"] == "/var/task" and env["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    for name in ("_HANDLER", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_LAMBDA_FUNCTION_VERSION",
                 "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_INITIALIZATION_TYPE",
                 "AWS_LAMBDA_RUNTIME_API", "TZ"):
        assert name in env, name


def test_ping(told):
    assert told(do="ping")[1]["ping"] == [200, "pong"]


def test_deadline_and_name(told):
    reply, seen = told()
    headers = seen["headers"]
    assert headers["lambda-runtime-aws-request-id"] == reply.headers["X-Mayfly-Request-Id"]
    assert headers["lambda-runtime-deadline-ms"].isdigit()
    assert headers["lambda-runtime-invoked-function-arn"].endswith(":function:tells")


def test_client_context(told):
    context = {"custom": {"who": "Zoë"}, "env": {}}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    headers = told(headers={"X-Amz-Client-Context": encoded})[1]["headers"]
    assert json.loads(headers["lambda-runtime-client-context"]) == context
    assert "lambda-runtime-client-context" not in told()[1]["headers"]


# A trace that comes goes on, in the words of whoever began it; else one begins.
def test_traces(told):
    given = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    reply, seen = told(headers={"X-Amzn-Trace-Id": given})
    assert seen["headers"]["lambda-runtime-trace-id"] == reply.headers["X-Amzn-Trace-Id"] == given
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = told(headers={"traceparent": parent})[1]["headers"]
    assert headers["traceparent"] == parent
    assert headers["lambda-runtime-trace-id"] == (
        "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1")
    headers = told()[1]["headers"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0",
                        headers["lambda-runtime-trace-id"])
    assert "traceparent" not in headers
    assert "Sampled=0" in told(headers={"traceparent": "no such thing"})[1]["headers"]["lambda-runtime-trace-id"]


def test_trailers_that_say_nothing(told):
    """As Go's client ends every answer: declared, and then not there."""
    reply, seen = told(do="empty trailers")
    assert reply.status == 200 and json.loads(seen["event"]) == {"do": "empty trailers"}


@pytest.mark.parametrize("do,kind,status", [
    ("mode", "Runtime.InvalidResponseModeHeader", 400), ("large", "Function.ResponseSizeTooLarge", 413)])
def test_what_is_refused(dev, told, do, kind, status):
    reply, seen = told(do=do)
    assert (reply.status, reply.cause) == (502, "function_error"), reply
    assert kind in seen["error"]["message"]
    wait_for("what the bootstrap was told", lambda: f"{do}: {status}" in dev.mayfly("logs", "tells").stdout)
    assert told()[0].status == 200
