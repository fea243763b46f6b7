"""The aws command line (Debian's package) through the verbs of AWS Lambda."""

import json

import pytest
from aws import BOOTSTRAP, ROLE, Aws, zipped


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


@pytest.fixture
def code(tmp_path):
    (tmp_path / "f.zip").write_bytes(zipped({"bootstrap": BOOTSTRAP}))
    return f"fileb://{tmp_path}/f.zip"


@pytest.fixture
def function(aws, code):
    aws.cli("create-function", "--function-name", "f", "--runtime", "provided.al2023", "--role", ROLE,
            "--handler", "h", "--timeout", "5", "--zip-file", code, "--tags", "a=b",
            "--environment", "Variables={COLOUR=blue}")
    aws.cli("wait", "function-active-v2", "--function-name", "f")
    yield "f"
    aws.cli("delete-function", "--function-name", "f", check=False)


# A function's whole life: made, waited for, called, changed, called again, deleted.
def test_life(aws, code, function, tmp_path):
    got = aws.json("get-function", "--function-name", "f")
    assert got["Configuration"]["State"] == "Active"
    assert got["Configuration"]["Handler"] == "h" and got["Configuration"]["Timeout"] == 5
    assert got["Tags"] == {"a": "b"}
    out = tmp_path / "out"
    answer = aws.json("invoke", "--function-name", "f", "--payload", '{"a":1}', "--log-type", "Tail", out)
    assert answer["StatusCode"] == 200 and answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer and json.loads(out.read_text()) == {"echo": {"a": 1}}
    aws.cli("update-function-configuration", "--function-name", "f", "--timeout", "9",
            "--environment", "Variables={COLOUR=green}")
    aws.cli("wait", "function-updated", "--function-name", "f")
    aws.cli("invoke", "--function-name", "f", "--payload", '{"what":"env"}', out)
    assert json.loads(out.read_text()) == {"env": "green"}
    aws.cli("update-function-code", "--function-name", "f", "--zip-file", code)
    aws.cli("wait", "function-updated-v2", "--function-name", "f")
    aws.cli("delete-function", "--function-name", "f")
    gone = aws.cli("get-function", "--function-name", "f", check=False)
    assert gone.returncode == 254 and "ResourceNotFoundException" in gone.stderr


# A function's error and its crash are told as AWS tells them, and the next call is served.
def test_function_errors(aws, function, tmp_path):
    out = tmp_path / "out"
    answer = aws.json("invoke", "--function-name", "f", "--payload", '{"what":"fail"}', out)
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(out.read_text()) == {"errorMessage": "as wanted", "errorType": "Wanted"}
    answer = aws.json("invoke", "--function-name", "f", "--payload", '{"what":"exit"}', out)
    document = json.loads(out.read_text())
    assert answer["FunctionError"] == "Unhandled" and document["errorType"] == "Runtime.ExitError"
    assert document["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert "FunctionError" not in aws.json("invoke", "--function-name", "f", "--payload", "{}", out)


# What is kept with a function: tags, concurrency, policy, URL, configuration of events.
def test_settings(aws, function):
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    aws.cli("tag-resource", "--resource", arn, "--tags", "c=d")
    assert aws.json("list-tags", "--resource", arn)["Tags"] == {"a": "b", "c": "d"}
    aws.cli("untag-resource", "--resource", arn, "--tag-keys", "a", "c")
    assert aws.json("list-tags", "--resource", arn)["Tags"] == {}
    put = aws.json("put-function-concurrency", "--function-name", "f",
                   "--reserved-concurrent-executions", "5")
    assert put == {"ReservedConcurrentExecutions": 5}
    assert aws.json("get-function-concurrency", "--function-name", "f") == put
    aws.cli("wait", "function-updated", "--function-name", "f")
    aws.cli("delete-function-concurrency", "--function-name", "f")
    assert aws.json("get-function-concurrency", "--function-name", "f") in (None, {})
    aws.cli("add-permission", "--function-name", "f", "--statement-id", "s", "--action",
            "lambda:InvokeFunction", "--principal", "*")
    policy = json.loads(aws.json("get-policy", "--function-name", "f")["Policy"])
    assert [s["Sid"] for s in policy["Statement"]] == ["s"]
    aws.cli("remove-permission", "--function-name", "f", "--statement-id", "s")
    assert aws.cli("get-policy", "--function-name", "f", check=False).returncode == 254
    aws.cli("put-function-event-invoke-config", "--function-name", "f", "--maximum-retry-attempts", "1")
    kept = aws.json("get-function-event-invoke-config", "--function-name", "f")
    assert kept["MaximumRetryAttempts"] == 1 and kept["FunctionArn"].endswith(":f:$LATEST")
    aws.cli("delete-function-event-invoke-config", "--function-name", "f")
    url = aws.json("create-function-url-config", "--function-name", "f", "--auth-type", "NONE")
    assert url["FunctionUrl"].startswith("http://127.0.0.1:8080/url/")
    assert aws.json("list-function-url-configs", "--function-name", "f")["FunctionUrlConfigs"]
    aws.cli("delete-function-url-config", "--function-name", "f")
    account = aws.json("get-account-settings")
    assert account["AccountUsage"]["FunctionCount"] >= 1
    assert aws.json("list-event-source-mappings")["EventSourceMappings"] == []


def write(folder, text):
    (folder / "text").write_text(text)
    return str(folder / "text")


# The list of functions comes in pages, and with their versions if that is asked for.
def test_lists(aws, code, function):
    for name in ("g", "h"):
        aws.cli("create-function", "--function-name", name, "--runtime", "provided.al2023", "--role", ROLE,
                "--handler", "h", "--zip-file", code, "--publish")
    ours = lambda listed: [x["FunctionName"] for x in listed["Functions"] if x["FunctionName"] in "fgh"]
    assert ours(aws.json("list-functions", "--page-size", "1")) == ["f", "g", "h"]
    part = aws.json("list-functions", "--max-items", "1")
    more = aws.json("list-functions", "--starting-token", part["NextToken"])
    assert ours(part) + ours(more) == ["f", "g", "h"]
    every = aws.json("list-functions", "--function-version", "ALL", "--page-size", "2")
    assert [(x["FunctionName"], x["Version"]) for x in every["Functions"] if x["FunctionName"] in "fgh"] == [
        ("f", "$LATEST"), ("g", "$LATEST"), ("g", "1"), ("h", "$LATEST"), ("h", "1")]
    for name in ("g", "h"):
        aws.cli("delete-function", "--function-name", name)


# A URL's and an event configuration's whole life.
def test_url_and_event_config(aws, function):
    where = ("--function-name", "f")
    aws.cli("create-function-url-config", *where, "--auth-type", "NONE")
    changed = aws.json("update-function-url-config", *where, "--auth-type", "AWS_IAM", "--cors",
                       "AllowOrigins=https://a.test,MaxAge=60")
    assert aws.json("get-function-url-config", *where) == changed
    assert changed["AuthType"] == "AWS_IAM"
    assert changed["Cors"] == {"AllowOrigins": ["https://a.test"], "MaxAge": 60}
    aws.cli("delete-function-url-config", *where)
    assert "ResourceNotFoundException" in aws.cli("get-function-url-config", *where, check=False).stderr
    aws.cli("put-function-event-invoke-config", *where, "--maximum-retry-attempts", "1")
    more = aws.json("update-function-event-invoke-config", *where, "--maximum-event-age-in-seconds", "60")
    assert (more["MaximumRetryAttempts"], more["MaximumEventAgeInSeconds"]) == (1, 60)
    assert len(aws.json("list-function-event-invoke-configs", *where)["FunctionEventInvokeConfigs"]) == 1
    aws.cli("delete-function-event-invoke-config", *where)
    assert "ResourceNotFoundException" in aws.cli("get-function-event-invoke-config", *where, check=False).stderr


# What cannot be done is refused with a reason, not pretended.
def test_refusals(aws, function, tmp_path):
    out = tmp_path / "out"
    event = aws.cli("invoke", "--function-name", "f", "--invocation-type", "Event", out, check=False)
    assert event.returncode == 254 and "no durable queue" in event.stderr
    dry = aws.json("invoke", "--function-name", "f", "--invocation-type", "DryRun", out)
    assert dry["StatusCode"] == 204
    uuid = ("--uuid", "00000000-0000-4000-8000-000000000000")
    for verb, *more in (
            ("create-event-source-mapping", "--function-name", "f", "--event-source-arn",
             "arn:aws:sqs:us-east-1:000000000000:q"),
            ("get-event-source-mapping", *uuid), ("update-event-source-mapping", *uuid, "--enabled"),
            ("delete-event-source-mapping", *uuid)):
        mapping = aws.cli(verb, *more, check=False)
        assert mapping.returncode == 254 and "not supported by this cluster" in mapping.stderr, verb
    old = aws.cli("invoke-async", "--function-name", "f", "--invoke-args", write(tmp_path, "{}"), check=False)
    assert old.returncode == 254 and "no durable queue" in old.stderr
    unknown = aws.cli("list-code-signing-configs", check=False)
    assert unknown.returncode == 254 and "UnknownOperationException" in unknown.stderr
    missing = aws.cli("invoke", "--function-name", "nosuch", out, check=False)
    assert ("Function not found: arn:aws:lambda:us-east-1:000000000000:function:nosuch"
            in missing.stderr)
