"""AWS Lambda's API by hand: signatures, streams, function URLs, validation, limits; on the
gateway and on the controller."""

import base64
import datetime
import json

import pytest
from aws import BOOTSTRAP, ROLE, Aws, frames, zipped
from lib import request, wait_for


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    aws = Aws(dev, key["access_key_id"], key["secret_access_key"])
    yield aws
    dev.mayfly("keys", "delete", key["access_key_id"])


@pytest.fixture(scope="module")
def echo(aws):
    reply = aws.create("Echo_1")
    assert reply.status == 201 and reply.json()["State"] == "Pending", reply
    aws.wait_active("Echo_1")
    yield "Echo_1"
    assert aws.request("DELETE", "/2015-03-31/functions/Echo_1").status == 204


# Gateway and controller serve the same calls, whichever name a caller gives the function.
@pytest.mark.parametrize("port", [8080, 8090])
@pytest.mark.parametrize("name", [
    "Echo_1", "Echo_1%3A%24LATEST", "000000000000%3Afunction%3AEcho_1",
    "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3AEcho_1"])
def test_one_endpoint(aws, echo, port, name):
    here = Aws(aws.client, aws.key, aws.secret, port=port)
    assert here.invoke(name, {"a": 1}).json() == {"echo": {"a": 1}}
    got = here.request("GET", f"/2015-03-31/functions/{name}/configuration")
    assert got.status == 200 and got.json()["FunctionName"] == "Echo_1"
    assert got.headers["x-amzn-RequestId"]


# A new key is known at every gateway at once, and a deleted one no more.
def test_keys_come_and_go(dev, aws, echo):
    key = dev.json("keys", "create", "--access-key-id", "AKIDMINE", "--secret-access-key", "s3cretsecret")
    other = Aws(dev, key["access_key_id"], "s3cretsecret")
    wait_for("the key at the gateway", lambda: other.invoke("Echo_1", {}).status == 200)
    assert "AKIDMINE" in dev.mayfly("keys", "list").stdout
    dev.mayfly("keys", "delete", "AKIDMINE")
    wait_for("the key to be gone", lambda: other.invoke("Echo_1", {}).status == 403)
    assert (other.invoke("Echo_1", {}).headers["x-amzn-ErrorType"] == "UnrecognizedClientException")


# Functions of another namespace are not there for a key.
def test_namespaces_are_apart(dev, aws, echo):
    dev.mayfly("namespaces", "create", "team")
    key = dev.json("keys", "create", "-n", "team")
    other = Aws(dev, key["access_key_id"], key["secret_access_key"])
    wait_for("the key at the gateway", lambda: other.invoke("Echo_1", {}).status != 403)
    assert other.invoke("Echo_1", {}).status == 404
    assert other.request("GET", "/2015-03-31/functions/").json()["Functions"] == []
    dev.mayfly("keys", "delete", key["access_key_id"], "-n", "team")
    dev.mayfly("namespaces", "delete", "team")


TARGET = "/2015-03-31/functions/Echo_1/invocations"


def ago(minutes):
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)


# What is not signed, or signed for something else, is refused with AWS's code.
@pytest.mark.parametrize("port", [8080, 8090])
@pytest.mark.parametrize("code, how", [
    ("MissingAuthenticationTokenException", {"sign": False}),
    ("InvalidSignatureException", {"ago": 6}),
    ("InvalidSignatureException", {"ago": -6}),
    ("InvalidSignatureException", {"signed_body": b'{"another": "body"}'}),
    ("InvalidSignatureException", {"headers": {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}}),
])
def test_bad_signatures(aws, echo, port, code, how):
    here = Aws(aws.client, aws.key, aws.secret, port=port)
    how = dict(how)
    if "ago" in how:
        how["at"] = ago(how.pop("ago"))
    reply = here.request("POST", TARGET, b"{}", **how)
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (403, code), reply


# A signature for another service, or by another secret.
def test_another_service(aws, echo):
    here = Aws(aws.client, aws.key, aws.secret)
    here.signer.service = "s3"
    assert "correct service: 'lambda'" in here.request("POST", TARGET, b"{}").json()["message"]
    here.signer.service, here.signer.secret = "lambda", "another"
    assert "does not match the signature" in here.request("POST", TARGET, b"{}").json()["message"]


# An event is JSON within the limit; none is an empty object.
def test_events(aws, echo):
    assert aws.request("POST", TARGET).json() == {"echo": {}}
    bad = aws.request("POST", TARGET, b"{no")
    assert (bad.status, bad.headers["x-amzn-ErrorType"]) == (400, "InvalidRequestContentException")
    assert bad.json()["message"].startswith("Could not parse request body into json: ")
    large = aws.request("POST", TARGET, b'"' + b"x" * 6291456 + b'"')
    assert (large.status, large.headers["x-amzn-ErrorType"]) == (413, "RequestTooLargeException")


# A function that runs past its time is told as AWS tells it; the next call is served.
def test_timeout(aws, echo):
    reply = aws.invoke("Echo_1", {"what": "sleep"})
    assert reply.status == 200 and reply.headers["X-Amz-Function-Error"] == "Unhandled"
    assert reply.json()["errorType"] == "Sandbox.Timedout"
    assert reply.json()["errorMessage"].endswith("Error: Task timed out after 5.00 seconds")
    assert aws.invoke("Echo_1", {"b": 2}).json() == {"echo": {"b": 2}}


# The log's tail comes in base64, at most 4 KB.
def test_log_tail(aws, echo):
    reply = aws.invoke("Echo_1", {}, {"X-Amz-Log-Type": "Tail"})
    text = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
    assert len(text) <= 4096 and text.startswith("START RequestId: ") and "REPORT" in text


# A stream is frames, the last of which tells how it ended.
def test_stream(aws, echo):
    target = "/2021-11-15/functions/Echo_1/response-streaming-invocations"
    reply = aws.request("POST", target, b'{"a":1}')
    assert reply.headers["Content-Type"] == "application/vnd.amazon.eventstream"
    events = list(frames(reply.body))
    assert [h[":event-type"] for h, _ in events][-1] == "InvokeComplete"
    payload = b"".join(p for h, p in events if h[":event-type"] == "PayloadChunk")
    assert json.loads(payload) == {"echo": {"a": 1}} and json.loads(events[-1][1]) == {}
    events = list(frames(aws.request("POST", target, b'{"what":"fail"}').body))
    assert json.loads(events[-1][1])["ErrorCode"] == "Wanted"


# A zip that is none makes nothing.
def test_bad_zip(aws):
    for code in ("bm90IGEgemlw", "!!!", ""):
        body = {"FunctionName": "bad", "Runtime": "provided.al2023", "Role": ROLE, "Handler": "h",
                "Code": {"ZipFile": code}}
        reply = aws.request("POST", "/2015-03-31/functions", json.dumps(body).encode())
        assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (400, "InvalidParameterValueException"), reply
    assert aws.request("GET", "/2015-03-31/functions/bad").status == 404


# Values out of range are named, all at once, before anything is done.
def test_validation(aws):
    reply = aws.create("v", MemorySize=5, Timeout=1000)
    assert reply.headers["x-amzn-ErrorType"] == "ValidationException"
    assert reply.json()["message"] == (
        "2 validation errors detected: Value '5' at 'memorySize' failed to satisfy constraint: Member must "
        "have value greater than or equal to 128; Value '1000' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900")
    assert "us no" not in aws.create("x y").json()["message"]
    assert aws.create("x y").headers["x-amzn-ErrorType"] == "ValidationException"
    role = aws.create("v", Role="nobody")
    assert "at 'role' failed to satisfy constraint" in role.json()["message"]
    env = aws.create("v", Environment={"Variables": {"AWS_REGION": "x"}})
    assert "Reserved keys used in this request: AWS_REGION" in env.json()["message"]
    assert aws.request("GET", "/2015-03-31/functions/v").status == 404


VALIDATION = [
    ("POST", "/2015-03-31/functions", {"FunctionName": "arn:aws:lambda:us-east-1:111111111111:function:x",
                                       "Role": ROLE, "Runtime": "provided", "Handler": "h", "Code": {}},
     403, "AccessDeniedException", "not this cluster's"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x" * 65, "Role": ROLE, "Code": {}},
     400, "ValidationException", "at 'functionName'"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x", "Role": ROLE, "Code": {}},
     400, "InvalidParameterValueException", "Runtime and Handler are mandatory"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x", "Role": ROLE, "Code": {}, "Runtime": "java21",
                                       "Handler": "h"},
     400, "InvalidParameterValueException", "no such runtime"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x", "Role": ROLE, "Code": {}, "PackageType": "Jar"},
     400, "ValidationException", "enum value set: [Zip, Image]"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x", "Role": ROLE, "Code": {}, "Runtime": "provided",
                                       "Handler": "h", "Architectures": ["mips"]},
     400, "ValidationException", "enum value set: [x86_64, arm64]"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x", "Role": ROLE, "Runtime": "provided", "Handler": "h",
                                       "Code": {"S3Bucket": "b", "S3Key": "k"}},
     400, "InvalidParameterValueException", "send ZipFile"),
    ("POST", "/2015-03-31/functions", {"FunctionName": "x", "Role": ROLE, "Runtime": "provided", "Handler": "h",
                                       "Code": {}, "VpcConfig": {"SubnetIds": ["s"]}},
     400, "InvalidParameterValueException", "VpcConfig is not supported"),
    ("GET", "/2015-03-31/functions?MaxItems=0", None, 400, "ValidationException", "at 'maxItems'"),
    ("GET", "/2015-03-31/functions?FunctionVersion=SOME", None, 400, "ValidationException", "[ALL]"),
    ("GET", "/2015-03-31/functions/a%20b", None, 400, "ValidationException", "at 'functionName'"),
    ("GET", "/2015-03-31/functions/Echo_1?Qualifier=a.b", None, 400, "ValidationException", "at 'qualifier'"),
    ("GET", "/2015-03-31/functions/nosuch/versions", None, 404, "ResourceNotFoundException", "Function not found"),
    ("PUT", "/2015-03-31/functions/Echo_1/configuration", {"MemorySize": "128"}, 400, "ValidationException",
     "whole number"),
    ("PUT", "/2015-03-31/functions/Echo_1/configuration", {"EphemeralStorage": {"Size": 100}}, 400,
     "ValidationException", "at 'ephemeralStorage.size'"),
    ("PUT", "/2015-03-31/functions/Echo_1/configuration", {"TracingConfig": {"Mode": "On"}}, 400,
     "ValidationException", "enum value set: [Active, PassThrough]"),
    ("POST", "/2015-03-31/functions/Echo_1/versions", {"Description": "x" * 257}, 400, "ValidationException",
     "less than or equal to 256"),
    ("PUT", "/2017-10-31/functions/Echo_1/concurrency", {}, 400, "ValidationException", "must not be null"),
    ("PUT", "/2017-10-31/functions/Echo_1/concurrency", {"ReservedConcurrentExecutions": -1}, 400,
     "ValidationException", "greater than or equal to 0"),
    ("PUT", "/2019-09-30/functions/Echo_1/provisioned-concurrency", {"ProvisionedConcurrentExecutions": 1}, 400,
     "ValidationException", "at 'qualifier'"),
    ("PUT", "/2019-09-25/functions/Echo_1/event-invoke-config", {"MaximumRetryAttempts": 3}, 400,
     "ValidationException", "less than or equal to 2"),
    ("PUT", "/2019-09-25/functions/Echo_1/event-invoke-config", {}, 400, "InvalidParameterValueException",
     "at least one of error handling"),
    ("POST", "/2015-03-31/functions/Echo_1/policy", {"StatementId": "a b", "Action": "x", "Principal": "*"}, 400,
     "ValidationException", "2 validation errors"),
    ("POST", "/2021-10-31/functions/Echo_1/url", {"AuthType": "SOME"}, 400, "ValidationException",
     "enum value set: [NONE, AWS_IAM]"),
    ("POST", "/2017-03-31/tags/Echo_1", {"Tags": {}}, 400, "ValidationException", "at 'resource'"),
    ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", None, 400, "ValidationException", "at 'arn'"),
    ("GET", "/2018-10-31/layers/nosuch/versions/1", None, 404, "ResourceNotFoundException", "does not exist"),
    ("PUT", "/2015-03-31/functions/Echo_1/configuration", [], 400, "SerializationException", "into json"),
    ("POST", "/2015-03-31/event-source-mappings", {}, 501, "UnsupportedOperationException", "not supported"),
    ("GET", "/2020-06-30/functions/Echo_1/code-signing-config", None, 404, "UnknownOperationException", "path"),
    ("PATCH", "/2015-03-31/functions/Echo_1", None, 404, "UnknownOperationException", "method PATCH"),
]


# Each rule by AWS's code and status, in AWS's words where they are known; and nothing is changed.
@pytest.mark.parametrize("method, target, body, status, code, text", VALIDATION)
def test_rules(aws, echo, method, target, body, status, code, text):
    data = b"" if body is None else json.dumps(body).encode()
    reply = aws.request(method, target, data)
    said = reply.json().get("message") or reply.json().get("Message")
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (status, code), reply
    assert text in said, said


# Only who knows the latest revision may change it.
def test_revisions(aws, echo):
    now = aws.wait_active("Echo_1")["RevisionId"]
    target = "/2015-03-31/functions/Echo_1/configuration"
    old = aws.request("PUT", target, b'{"Description":"d","RevisionId":"00000000-0000-4000-8000-000000000001"}')
    assert (old.status, old.headers["x-amzn-ErrorType"]) == (412, "PreconditionFailedException")
    good = aws.request("PUT", target, json.dumps({"Description": "d", "RevisionId": now}).encode())
    assert good.status == 200 and good.json()["Description"] == "d"
    aws.wait_active("Echo_1")


# A function's URL: event 2.0 in, status, headers, cookies and body out; CORS; signed or not.
def test_url(aws, echo):
    target = "/2021-10-31/functions/Echo_1/url"
    made = aws.request("POST", target, json.dumps(
        {"AuthType": "NONE", "Cors": {"AllowOrigins": ["https://a.test"], "AllowMethods": ["GET"]}}).encode())
    assert made.status == 201, made
    again = aws.request("POST", target, b'{"AuthType":"NONE"}')
    assert (again.status, again.headers["x-amzn-ErrorType"]) == (409, "ResourceConflictException")
    path = "/url/" + made.json()["FunctionUrl"].split("/url/")[1]
    identity = path.split("/")[2]

    def call(method="GET", below="", body=None, headers=None):
        return request(aws.network, 8080, method, path + below, body, headers)

    wait_for("the URL at the gateway", lambda: call().status != 404)
    reply = call("POST", "a/b?x=1&x=2", b"hello", {"Content-Type": "text/plain", "Origin": "https://a.test"})
    event = reply.json()
    assert reply.status == 201 and reply.headers["x-from"] == "url"
    assert reply.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert reply.headers["Access-Control-Allow-Origin"] == "https://a.test"
    assert (event["rawPath"], event["rawQueryString"]) == ("/a/b", "x=1&x=2")
    assert event["queryStringParameters"] == {"x": "1,2"} and event["body"] == "hello"
    assert event["requestContext"]["http"]["method"] == "POST"
    asked = call("OPTIONS", headers={"Origin": "https://a.test", "Access-Control-Request-Method": "GET"})
    assert asked.status == 200 and asked.headers["Access-Control-Allow-Methods"] == "GET"
    assert "Access-Control-Allow-Origin" not in call(headers={"Origin": "https://b.test"}).headers
    by_host = request(aws.network, 8080, "GET", "/x", headers={"Host": f"{identity}.lambda-url.here"})
    assert by_host.json()["rawPath"] == "/x"
    assert aws.request("PUT", target, b'{"AuthType":"AWS_IAM"}').status == 200
    wait_for("the change at the gateway", lambda: call().status == 403)
    assert aws.request("GET", path).json()["requestContext"]["authorizer"]["iam"]["accessKey"] == aws.key
    assert aws.request("DELETE", target).status == 204
    wait_for("the URL to be gone", lambda: call().status == 404)


# What mayfly deployed natively is there for AWS's tools as well, and the other way round.
def test_one_registry(dev, aws, package, echo):
    dev.deploy(package("native", {"bootstrap": BOOTSTRAP}), "native", "--runtime", "provided")
    assert aws.invoke("native", {"c": 3}).json() == {"echo": {"c": 3}}
    names = [f["FunctionName"] for f in aws.request("GET", "/2015-03-31/functions").json()["Functions"]]
    assert {"native", "Echo_1"} <= set(names)
    assert "l---echo-01" in dev.mayfly("list", "-o", "name").stdout
    dev.mayfly("delete", "native")
    assert aws.invoke("native", {}).status == 404


# A published version is called by its number, an alias by its name, and the reply says which
# version ran; what is neither is not found.
def test_qualifiers(dev, aws, package):
    source = package("q", {"bootstrap": BOOTSTRAP})
    dev.deploy(source, "q", "--runtime", "provided", "-e", "COLOUR=red")
    dev.deploy(source, "q", "--runtime", "provided", "-e", "COLOUR=green")
    dev.mayfly("publish", "q")
    dev.mayfly("alias", "set", "q", "live", "2")
    dev.deploy(source, "q", "--runtime", "provided", "-e", "COLOUR=blue")

    def ran(name, query=""):
        reply = aws.invoke(name, {"what": "env"}, query=query)
        return reply.json().get("env"), reply.headers.get("X-Amz-Executed-Version")

    wait_for("the version at the gateway", lambda: ran("q%3A1") == ("green", "1"))
    wait_for("the alias at the gateway", lambda: ran("q%3Alive") == ("green", "1"))
    wait_for("the deployment at the gateway", lambda: ran("q") == ("blue", "$LATEST"))
    assert ran("q", "?Qualifier=live") == ("green", "1")
    assert ran("q", "?Qualifier=1") == ("green", "1")
    stream = aws.request("POST", "/2021-11-15/functions/q%3Alive/response-streaming-invocations", b"{}")
    assert (stream.status, stream.headers["X-Amz-Executed-Version"]) == (200, "1")
    assert ran("q", "?Qualifier=%24LATEST") == ("blue", "$LATEST")
    for name in ("q%3A2", "q%3A0", "q%3Anone"):
        reply = aws.invoke(name, {})
        assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (404, "ResourceNotFoundException"), reply
    dev.mayfly("delete", "q")
