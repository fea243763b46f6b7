"""What a function of AWS Lambda's API knows of itself, and what its log's tail tells: names
and versions as Lambda's clients have them."""

import base64
import json
import re

import pytest
from aws import ROLE, Aws, frames, zipped
from lib import wait_for

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"

PYTHON = """
import os, sys, time

print("loading")

def handler(event, context):
    print("one line", flush=True)
    print("another", file=sys.stderr)
    if event.get("much"):
        for i in range(1000):
            print("line %d of many" % i)
    if event.get("exit"):
        os._exit(7)
    if event.get("sleep"):
        time.sleep(60)
    if event.get("fail"):
        raise ValueError("as wanted")
    return {"name": context.function_name, "version": context.function_version,
            "arn": context.invoked_function_arn, "group": context.log_group_name,
            "stream": context.log_stream_name,
            "env": {k: v for k, v in os.environ.items() if k.startswith("AWS_LAMBDA_")}}
"""

NODE = """
exports.handler = async (event, context) => {
    console.log("one line");
    return {name: context.functionName, version: context.functionVersion,
            arn: context.invokedFunctionArn, group: context.logGroupName};
};
"""


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


def make(aws, name, runtime, files, **more):
    body = {"FunctionName": name, "Runtime": runtime, "Role": ROLE, "Handler": "app.handler", "Timeout": 3,
            "Code": {"ZipFile": base64.b64encode(zipped(files)).decode()}, **more}
    reply = aws.request("POST", "/2015-03-31/functions", json.dumps(body).encode())
    assert reply.status == 201, reply
    aws.wait_active(name)


@pytest.fixture(scope="module")
def snake(aws):
    make(aws, "My_Func", "python3.11", {"app.py": PYTHON})
    yield "My_Func"
    aws.request("DELETE", "/2015-03-31/functions/My_Func")


def tail(aws, name, event, query=""):
    reply = aws.invoke(name, event, {"X-Amz-Log-Type": "Tail"}, query)
    return reply, base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()


# The function's name, version, log group and ARN are those that its caller knows.
def test_names(aws, snake):
    said = aws.invoke(snake, {}).json()
    assert (said["name"], said["version"], said["arn"]) == ("My_Func", "$LATEST", ARN + "My_Func")
    assert said["group"] == "/aws/lambda/My_Func" and "/[$LATEST]" in said["stream"]
    assert said["env"]["AWS_LAMBDA_FUNCTION_NAME"] == "My_Func"
    assert said["env"]["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert aws.invoke(snake + "%3A%24LATEST", {}).json()["arn"] == ARN + "My_Func:$LATEST"
    assert aws.invoke("000000000000%3Afunction%3A" + snake, {}).json()["arn"] == ARN + "My_Func"


# A published version knows its number; the ARN is the one that was called.
def test_published_names(aws):
    make(aws, "Numbered", "python3.11", {"app.py": PYTHON}, Publish=True)
    aws.request("POST", "/2015-03-31/functions/Numbered/aliases", b'{"Name":"live","FunctionVersion":"1"}')
    wait_for("the alias at the gateway", lambda: aws.invoke("Numbered%3Alive", {}).status == 200)
    said = aws.invoke("Numbered%3Alive", {}).json()
    assert (said["name"], said["version"], said["arn"]) == ("Numbered", "1", ARN + "Numbered:live")
    assert "/[1]" in said["stream"]
    assert aws.invoke("Numbered", {}, query="?x=y&Qualifier=1").json()["arn"] == ARN + "Numbered:1"
    clash = aws.invoke("Numbered%3Alive", {}, query="?Qualifier=1")
    assert (clash.status, clash.headers["x-amzn-ErrorType"]) == (400, "InvalidParameterValueException")
    bad = aws.invoke("Numbered", {}, query="?Qualifier=a%20b")
    assert (bad.status, bad.headers["x-amzn-ErrorType"]) == (400, "ValidationException")
    dry = {"X-Amz-Invocation-Type": "DryRun"}
    assert aws.invoke("Numbered%3Alive", {}, dry).status == 204
    assert aws.invoke("Numbered%3Anosuch", {}, dry).status == 404
    aws.request("DELETE", "/2015-03-31/functions/Numbered")


# The same of Node's context object.
def test_names_in_node(aws):
    make(aws, "NodeFunc", "nodejs20.x", {"app.js": NODE})
    reply, text = tail(aws, "NodeFunc", {})
    assert reply.json() == {"name": "NodeFunc", "version": "$LATEST", "arn": ARN + "NodeFunc",
                            "group": "/aws/lambda/NodeFunc"}
    assert "one line\n" in text
    aws.request("DELETE", "/2015-03-31/functions/NodeFunc")


REPORT = (r"REPORT RequestId: (\S+)\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t"
          r"Memory Size: 128 MB\tMax Memory Used: (\d+) MB")


# START, what the function printed, END, REPORT: of this call alone.
def test_tail(aws, snake):
    aws.invoke(snake, {})
    reply, text = tail(aws, snake, {})
    lines = text.splitlines()
    identity = reply.headers["x-amzn-RequestId"]
    assert lines[0] == f"START RequestId: {identity} Version: $LATEST"
    assert sorted(lines[1:3]) == ["another", "one line"]
    assert lines[3] == f"END RequestId: {identity}"
    report = re.fullmatch(REPORT + r"\t?", lines[4])
    assert report and report.group(1) == identity and len(lines) == 5, text
    assert float(report.group(2)) < 3000 and int(report.group(4)) > 0


# A long log is cut at its beginning: 4 KB with the end in them.
def test_long_tail(aws, snake):
    _, text = tail(aws, snake, {"much": True})
    assert len(text) == 4096 and "START" not in text
    before, after = text.split("END RequestId")  # stderr's line may come after the many
    assert "line 998 of many\nline 999 of many\n" in before and "REPORT" in after


# A call that fails, exits or runs out of time has its lines as well.
def test_tail_of_failures(aws, snake):
    reply, text = tail(aws, snake, {"fail": True})
    assert reply.headers["X-Amz-Function-Error"] == "Unhandled" and "one line\n" in text
    assert "ValueError" in text and "END RequestId" in text
    reply, text = tail(aws, snake, {"exit": True})
    assert reply.json()["errorType"] == "Runtime.ExitError"
    assert "one line\n" in text and "Status: error\tError Type: Runtime.ExitError" in text
    reply, text = tail(aws, snake, {"sleep": True})
    assert reply.json()["errorType"] == "Sandbox.Timedout" and "one line\n" in text
    assert "Task timed out after 3.00 seconds" in text and "Status: timeout" in text
    duration = float(re.search(r"\tDuration: ([\d.]+) ms", text).group(1))
    assert duration >= 2900


# The tail of a stream comes with its last frame.
def test_tail_of_a_stream(aws, snake):
    target = f"/2021-11-15/functions/{snake}/response-streaming-invocations"
    reply = aws.request("POST", target, b"{}", {"X-Amz-Log-Type": "Tail"})
    last = json.loads(list(frames(reply.body))[-1][1])
    assert "one line\n" in base64.b64decode(last["LogResult"]).decode()


EXTENSION = """#!/bin/bash
base="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
curl -sS -D /tmp/head -o /dev/null -X POST "$base/register" -H "Lambda-Extension-Name: slow" \\
    -d '{"events":["INVOKE"]}'
id=$(grep -i '^lambda-extension-identifier:' /tmp/head | tr -d '\\r' | cut -d' ' -f2)
while curl -sS -o /dev/null -H "Lambda-Extension-Identifier: $id" "$base/event/next"; do sleep 0.3; done
"""


# An extension that works on after the answer keeps the answer from nobody, in any of the ways
# to get one.
def test_with_an_extension(aws):
    layer = json.dumps({"Content": {"ZipFile": base64.b64encode(zipped({"extensions/slow": EXTENSION})).decode()}})
    assert aws.request("POST", "/2018-10-31/layers/slow/versions", layer.encode()).status == 201
    make(aws, "Extended", "python3.11", {"app.py": PYTHON},
         Layers=["arn:aws:lambda:us-east-1:000000000000:layer:slow:1"])
    for _ in range(2):
        reply, text = tail(aws, "Extended", {})
        assert reply.json()["name"] == "Extended" and "one line\n" in text and "REPORT" in text
    assert "ValueError" in aws.invoke("Extended", {"fail": True}).json()["errorType"]
    target = "/2021-11-15/functions/Extended/response-streaming-invocations"
    events = list(frames(aws.request("POST", target, b"{}").body))
    assert json.loads(b"".join(p for h, p in events if h[":event-type"] == "PayloadChunk"))["name"] == "Extended"
    assert events[-1][0][":event-type"] == "InvokeComplete"
    url = aws.request("POST", "/2021-10-31/functions/Extended/url", b'{"AuthType":"NONE"}').json()["FunctionUrl"]
    path = "/url/" + url.split("/url/")[1]
    wait_for("the URL", lambda: aws.request("GET", path, sign=False).status != 404)
    assert aws.request("GET", path, sign=False).json()["name"] == "Extended"
    aws.request("DELETE", "/2015-03-31/functions/Extended")
    aws.request("DELETE", "/2018-10-31/layers/slow/versions/1")
