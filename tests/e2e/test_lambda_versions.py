"""Versions, aliases, concurrency and layers of AWS Lambda's API: the aws command line and
boto3 (Debian's packages), and what AWS's rules refuse."""

import base64
import io
import json
import os
import subprocess
import zipfile

import pytest
from aws import BOOTSTRAP, ROLE, Aws, zipped
from lib import ROOT, run, wait_for

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
LAYER = "arn:aws:lambda:us-east-1:000000000000:layer:"


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


@pytest.fixture
def zips(tmp_path):
    """zips("red") is a package that says so."""

    def make(colour):
        path = tmp_path / f"{colour}.zip"
        path.write_bytes(zipped({"bootstrap": BOOTSTRAP, "colour": colour}))
        return f"fileb://{path}"

    return make


def create(aws, name, code, *more):
    return aws.json("create-function", "--function-name", name, "--runtime", "provided.al2023", "--role",
                    ROLE, "--handler", "h", "--timeout", "5", "--zip-file", code, *more)


@pytest.fixture
def f(aws):
    """A function whose versions 1 and 2 are published; its latest one is not."""
    base = "/2015-03-31/functions/Ver_1"
    assert aws.create("Ver_1", Environment={"Variables": {"COLOUR": "red"}}).status == 201
    aws.wait_active("Ver_1")
    assert aws.request("POST", base + "/versions", b"{}").status == 201
    for colour in ("green", "blue"):
        change = json.dumps({"Environment": {"Variables": {"COLOUR": colour}}}).encode()
        assert aws.request("PUT", base + "/configuration", change).status == 200
        aws.wait_active("Ver_1")
        if colour == "green":
            described = aws.request("POST", base + "/versions", b'{"Description":"the green one"}')
            assert described.json()["Version"] == "2"
    yield "Ver_1"
    aws.request("DELETE", base)


def failure(reply):
    """What the aws command line says of an error."""
    assert reply.returncode == 254, reply
    return reply.stderr


def call(aws, tmp_path, name, *more):
    out = tmp_path / "out"
    answer = aws.json("invoke", "--function-name", name, "--payload", '{"what":"env"}', *more, out)
    return json.loads(out.read_text()).get("env"), answer["ExecutedVersion"]


# Versions are numbers of their own; each is shown and called as it was published.
def test_versions(aws, f, tmp_path):
    again = aws.json("update-function-configuration", "--function-name", f, "--environment",
                     "Variables={COLOUR=green}")
    assert again["Version"] == "$LATEST"
    aws.cli("wait", "function-updated", "--function-name", f)
    same = aws.json("publish-version", "--function-name", f)
    assert (same["Version"], same["Description"]) == ("2", "the green one")
    versions = aws.json("list-versions-by-function", "--function-name", f)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1", "2"]
    assert [v["FunctionArn"] for v in versions] == [f"{ARN}{f}:{v}" for v in ("$LATEST", "1", "2")]
    first = aws.json("get-function", "--function-name", f, "--qualifier", "1")["Configuration"]
    assert first["Environment"]["Variables"] == {"COLOUR": "red"} and first["State"] == "Active"
    assert first["FunctionArn"] == f"{ARN}{f}:1" and first["Version"] == "1"
    assert aws.json("get-function-configuration", "--function-name", f"{f}:2")["Version"] == "2"
    wait_for("the versions at the gateway",
             lambda: aws.invoke(f"{f}%3A2", {}).status == 200 and aws.invoke(f"{f}%3A1", {}).status == 200)
    assert call(aws, tmp_path, f, "--qualifier", "1") == ("red", "1")
    assert call(aws, tmp_path, f"{ARN}{f}:2") == ("green", "2")
    assert call(aws, tmp_path, f)[1] == "$LATEST"
    aws.cli("delete-function", "--function-name", f, "--qualifier", "1")
    assert "Function not found" in failure(
        aws.cli("get-function", "--function-name", f, "--qualifier", "1", check=False))
    aws.cli("delete-function", "--function-name", f, "--qualifier", "1")  # as AWS: no error
    wait_for("the version to be gone", lambda: aws.invoke(f"{f}%3A1", {}).status == 404)


# A version is published with its making, and the waiter sees it become active.
def test_publish_at_once(aws, zips):
    made = create(aws, "at-once", zips("red"), "--publish")
    assert (made["Version"], made["State"], made["FunctionArn"]) == ("1", "Pending", ARN + "at-once")
    aws.cli("wait", "published-version-active", "--function-name", "at-once", "--qualifier", "1")
    one = aws.json("get-function-configuration", "--function-name", "at-once", "--qualifier", "1")
    assert (one["State"], one["LastUpdateStatus"]) == ("Active", "Successful")
    aws.cli("wait", "function-active-v2", "--function-name", "at-once")
    again = aws.json("update-function-code", "--function-name", "at-once", "--zip-file", zips("red"),
                     "--publish")
    assert again["Version"] == "1"  # nothing has changed
    aws.cli("wait", "function-updated", "--function-name", "at-once")
    more = aws.json("update-function-code", "--function-name", "at-once", "--zip-file", zips("blue"),
                    "--publish")
    assert more["Version"] == "2" and more["FunctionArn"] == ARN + "at-once:2"
    aws.cli("wait", "published-version-active", "--function-name", "at-once", "--qualifier", "2")
    aws.cli("delete-function", "--function-name", "at-once")


# Who publishes says what it believes that the code is.
def test_publish_preconditions(aws, f):
    now = aws.json("get-function-configuration", "--function-name", f)
    wrong = failure(aws.cli("publish-version", "--function-name", f, "--code-sha256", "x", check=False))
    assert "InvalidParameterValueException" in wrong and (
        f"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({now['CodeSha256']})") in wrong
    old = failure(aws.cli("publish-version", "--function-name", f, "--revision-id",
                          "00000000-0000-4000-8000-000000000001", check=False))
    assert "PreconditionFailedException" in old
    good = aws.json("publish-version", "--function-name", f, "--code-sha256", now["CodeSha256"],
                    "--revision-id", now["RevisionId"])
    assert good["Version"] == "3"


# An alias, its split, its revisions; what AWS says when it cannot be.
def test_aliases(aws, f, tmp_path):
    def alias(verb, *more, check=True):
        return aws.cli(f"{verb}-alias", "--function-name", f, *more, check=check)

    made = json.loads(alias("create", "--name", "live", "--function-version", "1", "--description", "d").stdout)
    assert made["AliasArn"] == f"{ARN}{f}:live" and made["FunctionVersion"] == "1"
    assert made["Description"] == "d" and "RoutingConfig" not in made
    assert "Alias already exists: " + made["AliasArn"] in failure(
        alias("create", "--name", "live", "--function-version", "2", check=False))
    wait_for("the alias at the gateway", lambda: aws.invoke(f"{f}%3Alive", {}).status == 200)
    assert call(aws, tmp_path, f, "--qualifier", "live") == ("red", "1")
    shown = aws.json("get-function", "--function-name", f"{f}:live")["Configuration"]
    assert (shown["Version"], shown["FunctionArn"]) == ("1", made["AliasArn"])
    split = json.loads(alias("update", "--name", "live", "--routing-config",
                             'AdditionalVersionWeights={2=0.25}').stdout)
    assert split["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    assert split["FunctionVersion"] == "1" and split["RevisionId"] != made["RevisionId"]
    assert json.loads(alias("get", "--name", "live").stdout) == split
    stale = failure(alias("update", "--name", "live", "--function-version", "2", "--revision-id",
                          made["RevisionId"], check=False))
    assert "PreconditionFailedException" in stale
    whole = json.loads(alias("update", "--name", "live", "--function-version", "2", "--revision-id",
                             split["RevisionId"], "--routing-config", "AdditionalVersionWeights={}").stdout)
    assert whole["FunctionVersion"] == "2" and "RoutingConfig" not in whole
    alias("create", "--name", "beta", "--function-version", "1")
    listed = aws.json("list-aliases", "--function-name", f)["Aliases"]
    assert [a["Name"] for a in listed] == ["beta", "live"]
    of_two = aws.json("list-aliases", "--function-name", f, "--function-version", "2")["Aliases"]
    assert [a["Name"] for a in of_two] == ["live"]
    named = failure(aws.cli("delete-function", "--function-name", f, "--qualifier", "2", check=False))
    assert "ResourceConflictException" in named and "alias live" in named
    assert "Deletion of aliases" in failure(
        aws.cli("delete-function", "--function-name", f, "--qualifier", "live", check=False))
    alias("delete", "--name", "live")
    assert f"Cannot find alias arn: {ARN}{f}:live" in failure(alias("get", "--name", "live", check=False))
    wait_for("the alias to be gone", lambda: aws.invoke(f"{f}%3Alive", {}).status == 404)


BAD_ALIASES = [
    ({"Name": "7", "FunctionVersion": "1"}, 400, "ValidationException", "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
    ({"Name": "a b", "FunctionVersion": "1"}, 400, "ValidationException", "at 'name' failed"),
    ({"Name": "a"}, 400, "ValidationException", "at 'functionVersion' failed"),
    ({"Name": "a", "FunctionVersion": "one"}, 400, "ValidationException", "(\\$LATEST|[0-9]+)"),
    ({"Name": "a", "FunctionVersion": "9"}, 404, "ResourceNotFoundException", "Function not found: "),
    ({"Name": "a", "FunctionVersion": "$LATEST"}, 400, "InvalidParameterValueException", "publish a version"),
    ({"Name": "a", "FunctionVersion": "1", "Description": "x" * 257}, 400, "ValidationException", "256"),
    ({"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
     400, "InvalidParameterValueException", "already included in routing configuration"),
    ({"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 1.5}}},
     400, "ValidationException", "less than or equal to 1.0"),
    ({"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"x": 0.5}}},
     400, "ValidationException", "[0-9]+, Member must not be null"),
    ({"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}},
     400, "InvalidParameterValueException", "cannot be greater than 1"),
    ({"Name": "a", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"9": 0.1}}},
     404, "ResourceNotFoundException", "Function not found: "),
]


# Each rule has AWS's code, status and words, and nothing is made.
def test_alias_rules(aws, f):
    for body, status, code, text in BAD_ALIASES:
        reply = aws.request("POST", f"/2015-03-31/functions/{f}/aliases", json.dumps(body).encode())
        said = reply.json().get("message") or reply.json().get("Message")
        assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (status, code), (body, reply)
        assert text in said, (body, said)
    assert aws.json("list-aliases", "--function-name", f)["Aliases"] == []


# Room for so many calls and no more, without a new version; 0 stops the function.
def test_reserved_concurrency(aws, f):
    before = aws.json("get-function-configuration", "--function-name", f)
    put = aws.json("put-function-concurrency", "--function-name", f, "--reserved-concurrent-executions", "2")
    assert put == {"ReservedConcurrentExecutions": 2}
    now = aws.json("get-function", "--function-name", f)
    assert now["Concurrency"] == put
    assert now["Configuration"]["LastModified"] == before["LastModified"]
    assert now["Configuration"]["LastUpdateStatus"] == "Successful"
    aws.cli("put-function-concurrency", "--function-name", f, "--reserved-concurrent-executions", "0")
    wait_for("the function to be stopped", lambda: aws.invoke(f, {}).status == 429)
    reply = aws.invoke(f, {})
    assert reply.headers["x-amzn-ErrorType"] == "TooManyRequestsException"
    assert reply.json()["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert aws.json("get-function-concurrency", "--function-name", f) == {"ReservedConcurrentExecutions": 0}
    aws.cli("delete-function-concurrency", "--function-name", f)
    wait_for("the function to go on", lambda: aws.invoke(f, {}).status == 200)
    many = failure(aws.cli("put-function-concurrency", "--function-name", f,
                           "--reserved-concurrent-executions", "901", check=False))
    assert "UnreservedConcurrentExecution below its minimum value of [100]" in many


# Instances are kept ready for a version or an alias, and the status says when they are.
def test_provisioned_concurrency(aws, f):
    def provisioned(verb, *more, check=True):
        return aws.cli(f"{verb}-provisioned-concurrency-config", "--function-name", f, *more, check=check)

    def ready(qualifier):
        now = json.loads(provisioned("get", "--qualifier", qualifier).stdout)
        assert now["Status"] != "FAILED", now
        return now if now["Status"] == "READY" else None

    none = failure(provisioned("get", "--qualifier", "1", check=False))
    assert "ProvisionedConcurrencyConfigNotFoundException" in none
    put = json.loads(provisioned("put", "--qualifier", "1", "--provisioned-concurrent-executions", "2").stdout)
    assert put["RequestedProvisionedConcurrentExecutions"] == 2 and put["Status"] == "IN_PROGRESS"
    now = wait_for("the instances of version 1", lambda: ready("1"))
    assert now["AllocatedProvisionedConcurrentExecutions"] == 2
    assert aws.invoke(f"{f}%3A1", {"what": "env"}).json() == {"env": "red"}
    aws.cli("create-alias", "--function-name", f, "--name", "live", "--function-version", "1")
    both = failure(provisioned("put", "--qualifier", "live", "--provisioned-concurrent-executions", "1",
                               check=False))
    assert "Alias can't be used for Provisioned Concurrency configuration" in both
    aws.cli("update-alias", "--function-name", f, "--name", "live", "--function-version", "2")
    provisioned("put", "--qualifier", "live", "--provisioned-concurrent-executions", "1")
    wait_for("the instance of the alias", lambda: ready("live"))
    listed = aws.json("list-provisioned-concurrency-configs", "--function-name", f)
    assert [c["FunctionArn"] for c in listed["ProvisionedConcurrencyConfigs"]] == [f"{ARN}{f}:1", f"{ARN}{f}:live"]
    low = failure(aws.cli("put-function-concurrency", "--function-name", f,
                          "--reserved-concurrent-executions", "1", check=False))
    assert "should not be lower than function's total provisioned concurrency [3]" in low
    for qualifier in ("1", "live"):
        provisioned("delete", "--qualifier", qualifier)
    assert "No Provisioned Concurrency Config" in failure(provisioned("get", "--qualifier", "1", check=False))
    for qualifier, n, text in (("$LATEST", "1", "cannot be applied to unpublished"),
                               ("nosuch", "1", "Cannot find alias arn"), ("9", "1", "Function not found"),
                               ("1", "0", "greater than or equal to 1"), ("1", "1001", "unreserved concurrency")):
        reply = aws.request("PUT", f"/2019-09-30/functions/{f}/provisioned-concurrency?Qualifier="
                            + qualifier.replace("$", "%24"),
                            json.dumps({"ProvisionedConcurrentExecutions": int(n)}).encode())
        assert reply.status in (400, 404) and text in json.dumps(reply.json()), reply


# More than any node has room for is FAILED, with the reason, and goes when it is taken back.
def test_provisioned_without_room(aws, f):
    target = f"/2019-09-30/functions/{f}/provisioned-concurrency?Qualifier=1"
    big = {"MemorySize": 10240}
    aws.request("PUT", f"/2015-03-31/functions/{f}/configuration", json.dumps(big).encode())
    aws.cli("wait", "function-updated-v2", "--function-name", f)
    number = aws.json("publish-version", "--function-name", f)["Version"]
    target = target.replace("=1", f"={number}")
    assert aws.request("PUT", target, b'{"ProvisionedConcurrentExecutions":800}').status == 202
    now = wait_for("the status", lambda: (lambda r: r if r["Status"] == "FAILED" else None)(
        aws.request("GET", target).json()))
    assert now["AllocatedProvisionedConcurrentExecutions"] < 800 and "No node has room" in now["StatusReason"]
    assert aws.request("DELETE", target).status == 204


# A policy, a URL and a configuration of events belong to the qualifier that they were made with.
def test_qualified_settings(aws, f):
    aws.cli("create-alias", "--function-name", f, "--name", "live", "--function-version", "1")
    aws.cli("add-permission", "--function-name", f, "--qualifier", "live", "--statement-id", "s", "--action",
            "lambda:InvokeFunction", "--principal", "000000000000")
    policy = json.loads(aws.json("get-policy", "--function-name", f, "--qualifier", "live")["Policy"])
    assert [s["Resource"] for s in policy["Statement"]] == [f"{ARN}{f}:live"]
    assert aws.cli("get-policy", "--function-name", f, check=False).returncode == 254
    assert "adding policies for $LATEST" in failure(
        aws.cli("add-permission", "--function-name", f, "--qualifier", "$LATEST", "--statement-id", "s",
                "--action", "lambda:InvokeFunction", "--principal", "000000000000", check=False))
    aws.cli("put-function-event-invoke-config", "--function-name", f, "--qualifier", "live",
            "--maximum-retry-attempts", "1")
    aws.cli("put-function-event-invoke-config", "--function-name", f, "--maximum-retry-attempts", "2")
    configs = aws.json("list-function-event-invoke-configs", "--function-name", f)["FunctionEventInvokeConfigs"]
    assert {c["FunctionArn"].rsplit(":", 1)[1]: c["MaximumRetryAttempts"] for c in configs} == {
        "live": 1, "$LATEST": 2}
    url = aws.json("create-function-url-config", "--function-name", f, "--qualifier", "live", "--auth-type", "NONE")
    aws.json("create-function-url-config", "--function-name", f, "--auth-type", "NONE")
    assert url["FunctionArn"] == f"{ARN}{f}:live"
    path = "/url/" + url["FunctionUrl"].split("/url/")[1]
    reply = wait_for("the alias's URL", lambda: (lambda r: r if r.status != 404 else None)(
        aws.request("GET", path, sign=False)))
    assert reply.status == 201 and json.loads(reply.body)["version"] == "2.0"
    urls = aws.json("list-function-url-configs", "--function-name", f)["FunctionUrlConfigs"]
    assert [u["FunctionArn"] for u in urls] == [f"{ARN}{f}", f"{ARN}{f}:live"]
    number = aws.cli("create-function-url-config", "--function-name", f, "--qualifier", "1", "--auth-type",
                     "NONE", check=False)
    assert "ValidationException" in failure(number)
    aws.cli("delete-alias", "--function-name", f, "--name", "live")
    aws.cli("create-alias", "--function-name", f, "--name", "live", "--function-version", "2")
    assert aws.cli("get-policy", "--function-name", f, "--qualifier", "live", check=False).returncode == 254
    wait_for("the URL to be gone", lambda: aws.request("GET", path, sign=False).status == 404)


FORMS = ["{}", "000000000000:function:{}", "function:{}", "arn:aws:lambda:us-east-1:000000000000:function:{}"]


# However a function is named, its operations know it; with a qualifier, in the name or beside it.
@pytest.mark.parametrize("form", FORMS)
def test_names_everywhere(aws, f, form):
    name = form.format(f)
    path = name.replace(":", "%3A")

    def status(method, target, body=None):
        return aws.request(method, target, json.dumps(body).encode() if body is not None else b"").status

    old = "/2015-03-31/functions/" + path
    assert status("GET", old) == status("GET", old + "%3A1") == status("GET", old + "?Qualifier=1") == 200
    assert status("GET", old + "%3A1?Qualifier=2") == 400
    assert status("GET", old + "%3A9") == status("GET", old + "?Qualifier=nosuch") == 404
    assert status("GET", old + "/versions") == status("GET", old + "/aliases") == 200
    assert status("POST", old + "/aliases", {"Name": "live", "FunctionVersion": "1"}) == 201
    assert status("GET", old + "%3Alive/configuration") == status("GET", old + "/aliases/live") == 200
    assert status("GET", f"/2019-09-30/functions/{path}/concurrency") == 200
    assert status("GET", f"/2019-09-25/functions/{path}/event-invoke-config/list") == 200
    assert status("GET", f"/2021-10-31/functions/{path}/urls") == 200
    assert status("GET", f"/2019-09-30/functions/{path}/provisioned-concurrency?List=ALL") == 200
    assert status("DELETE", old + "/aliases/live") == 204
    # What is the function's own knows no qualifier.
    assert status("PUT", f"/2017-10-31/functions/{path}%3A1/concurrency", {"ReservedConcurrentExecutions": 1}) == 400
    assert status("PUT", old + "%3A1/configuration", {"Timeout": 3}) == 400


# What is made natively is there for AWS's tools, and the other way round.
def test_one_registry(dev, aws, package, tmp_path):
    source = package("n", {"bootstrap": BOOTSTRAP})
    dev.deploy(source, "n", "--runtime", "provided", "-e", "COLOUR=red")
    dev.mayfly("publish", "n")
    dev.deploy(source, "n", "--runtime", "provided", "-e", "COLOUR=green")
    dev.mayfly("alias", "set", "n", "live", "v1=75,v2=25")
    alias = aws.json("get-alias", "--function-name", "n", "--name", "live")
    assert alias["FunctionVersion"] == "1"
    assert alias["RoutingConfig"]["AdditionalVersionWeights"] == {"$LATEST": 0.25}
    assert aws.json("publish-version", "--function-name", "n")["Version"] == "2"
    assert aws.json("get-alias", "--function-name", "n", "--name", "live")["RoutingConfig"] == {
        "AdditionalVersionWeights": {"2": 0.25}}
    aws.cli("create-alias", "--function-name", "n", "--name", "beta", "--function-version", "2")
    assert "beta" in dev.mayfly("alias", "list", "n").stdout
    (tmp_path / "l.zip").write_bytes(zipped({"a": "b"}))
    aws.cli("publish-layer-version", "--layer-name", "Lay_er", "--zip-file", f"fileb://{tmp_path}/l.zip")
    assert "l---lay-0er" in dev.mayfly("layer", "list").stdout
    aws.cli("delete-layer-version", "--layer-name", "Lay_er", "--version-number", "1")
    aws.cli("put-function-concurrency", "--function-name", "n", "--reserved-concurrent-executions", "2")
    grants = dev.json("describe", "n")["grants"]
    assert {g["version"]: g["max"] for g in grants} == {1: 2, 2: 2} and sum(g["reserved"] for g in grants) == 2
    dev.mayfly("delete", "n")


# A layer's whole life, and a function that has it at /opt.
def test_layers(aws, zips, tmp_path):
    def layer(colour):
        (tmp_path / f"layer-{colour}.zip").write_bytes(zipped({"colour.txt": colour}))
        return aws.json("publish-layer-version", "--layer-name", "Tool_s", "--zip-file",
                        f"fileb://{tmp_path}/layer-{colour}.zip", "--description", colour, "--license-info", "MIT",
                        "--compatible-runtimes", "provided.al2023", "--compatible-architectures", "x86_64")

    made = layer("red")
    assert made["LayerVersionArn"] == f"{LAYER}Tool_s:1" and made["Version"] == 1
    assert made["Content"]["CodeSize"] > 0 and made["CompatibleRuntimes"] == ["provided.al2023"]
    layer("blue")
    assert [l["LayerName"] for l in aws.json("list-layers")["Layers"]] == ["Tool_s"]
    assert aws.json("list-layers")["Layers"][0]["LatestMatchingVersion"]["Version"] == 2
    assert aws.json("list-layers", "--compatible-runtime", "nodejs20.x")["Layers"] == []
    listed = aws.json("list-layer-versions", "--layer-name", "Tool_s")["LayerVersions"]
    assert [v["Version"] for v in listed] == [2, 1]
    got = aws.json("get-layer-version", "--layer-name", "Tool_s", "--version-number", "1")
    assert got["LicenseInfo"] == "MIT" and got["LayerArn"] == f"{LAYER}Tool_s"
    assert aws.json("get-layer-version-by-arn", "--arn", f"{LAYER}Tool_s:1")["Content"] == got["Content"]
    show = "#!/bin/bash\n" + BOOTSTRAP.split("\n", 1)[1].replace('\\"$COLOUR\\"', '\\"$(cat /opt/colour.txt)\\"')
    (tmp_path / "f.zip").write_bytes(zipped({"bootstrap": show}))
    made = create(aws, "layered", f"fileb://{tmp_path}/f.zip", "--layers", f"{LAYER}Tool_s:1")
    assert made["Layers"] == [{"Arn": f"{LAYER}Tool_s:1", "CodeSize": got["Content"]["CodeSize"]}]
    aws.cli("wait", "function-active-v2", "--function-name", "layered")
    assert aws.invoke("layered", {"what": "env"}).json() == {"env": "red"}
    aws.cli("delete-layer-version", "--layer-name", "Tool_s", "--version-number", "1")
    # What has it keeps it, also through a change of something else.
    changed = aws.json("update-function-configuration", "--function-name", "layered", "--timeout", "7")
    assert changed["Layers"][0]["Arn"] == f"{LAYER}Tool_s:1"
    aws.cli("wait", "function-updated-v2", "--function-name", "layered")
    wait_for("the change", lambda: aws.invoke("layered", {"what": "env"}).json() == {"env": "red"})
    aws.cli("update-function-configuration", "--function-name", "layered", "--layers", f"{LAYER}Tool_s:2")
    aws.cli("wait", "function-updated-v2", "--function-name", "layered")
    wait_for("the other layer", lambda: aws.invoke("layered", {"what": "env"}).json() == {"env": "blue"})
    gone = failure(aws.cli("update-function-configuration", "--function-name", "layered", "--layers",
                           f"{LAYER}Tool_s:1", check=False))
    assert f"Layer version {LAYER}Tool_s:1 does not exist." in gone
    none = aws.json("update-function-configuration", "--function-name", "layered", "--layers")
    assert "Layers" not in none
    assert aws.cli("get-layer-version", "--layer-name", "Tool_s", "--version-number", "1",
                   check=False).returncode == 254
    aws.cli("delete-function", "--function-name", "layered")
    aws.cli("delete-layer-version", "--layer-name", "Tool_s", "--version-number", "2")
    assert aws.json("list-layers")["Layers"] == []


# A layer version's policy is kept as AWS keeps it, and goes with the version.
def test_layer_policy(aws, tmp_path):
    (tmp_path / "l.zip").write_bytes(zipped({"a": "b"}))
    aws.cli("publish-layer-version", "--layer-name", "p", "--zip-file", f"fileb://{tmp_path}/l.zip")
    where = ("--layer-name", "p", "--version-number", "1")
    assert aws.cli("get-layer-version-policy", *where, check=False).returncode == 254
    added = aws.json("add-layer-version-permission", *where, "--statement-id", "s", "--action",
                     "lambda:GetLayerVersion", "--principal", "111111111111")
    assert json.loads(added["Statement"])["Principal"] == "arn:aws:iam::111111111111:root"
    twice = failure(aws.cli("add-layer-version-permission", *where, "--statement-id", "s", "--action",
                            "lambda:GetLayerVersion", "--principal", "*", check=False))
    assert "ResourceConflictException" in twice
    policy = aws.json("get-layer-version-policy", *where)
    assert [s["Resource"] for s in json.loads(policy["Policy"])["Statement"]] == [LAYER + "p:1"]
    stale = failure(aws.cli("remove-layer-version-permission", *where, "--statement-id", "s",
                            "--revision-id", "00000000-0000-4000-8000-000000000001", check=False))
    assert "PreconditionFailedException" in stale
    aws.cli("remove-layer-version-permission", *where, "--statement-id", "s", "--revision-id",
            policy["RevisionId"])
    assert aws.cli("get-layer-version-policy", *where, check=False).returncode == 254
    aws.cli("delete-layer-version", *where)
    aws.cli("delete-layer-version", *where)  # as AWS: no error
    missing = failure(aws.cli("add-layer-version-permission", *where, "--statement-id", "s", "--action",
                              "lambda:GetLayerVersion", "--principal", "*", check=False))
    assert f"Layer version {LAYER}p:1 does not exist." in missing


def layer_rules():
    one, two = LAYER + "rule:1", LAYER + "rule:2"
    return [
        ([one.replace(":1", ":9")], "InvalidParameterValueException", "does not exist"),
        (["rule"], "ValidationException", "at 'layers' failed"),
        ([one] * 2, "InvalidParameterValueException", "Two different versions of the same layer"),
        ([one, two], "InvalidParameterValueException", "Two different versions of the same layer"),
        ([one] * 6, "InvalidParameterValueException", "Cannot reference more than 5 layers."),
        ([one.replace("us-east-1", "eu-west-1")], "InvalidParameterValueException", "expected to be in region"),
        ([one.replace("000000000000", "111111111111")], "AccessDeniedException", "not this cluster's"),
    ]


# What a function may not name as its layers; and a layer that is none.
def test_layer_rules(aws, f):
    for _ in range(2):
        body = {"Content": {"ZipFile": base64.b64encode(zipped({"a": "b"})).decode()}}
        assert aws.request("POST", "/2018-10-31/layers/rule/versions", json.dumps(body).encode()).status == 201
    for layers, code, text in layer_rules():
        reply = aws.request("PUT", f"/2015-03-31/functions/{f}/configuration",
                            json.dumps({"Layers": layers}).encode())
        assert reply.headers["x-amzn-ErrorType"] == code and text in json.dumps(reply.json()), (layers, reply)
    bad = aws.request("POST", "/2018-10-31/layers/rule/versions", b'{"Content":{"ZipFile":"bm90IGEgemlw"}}')
    assert (bad.status, bad.headers["x-amzn-ErrorType"]) == (400, "InvalidParameterValueException")
    low = aws.request("GET", "/2018-10-31/layers/rule/versions/0")
    assert "Layer Version Cannot be less than 1" in low.json()["message"]
    assert aws.request("POST", "/2018-10-31/layers/a%20b/versions", b'{"Content":{}}').status == 400
    for number in (1, 2):
        assert aws.request("DELETE", f"/2018-10-31/layers/rule/versions/{number}").status == 204


# A zip of so many megabytes, which is small nonetheless and no bomb.
def large_zip(megabytes):
    chunk = os.urandom(16 * 1024) + bytes(1024 * 1024 - 16 * 1024)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("bootstrap", BOOTSTRAP)
        z.writestr("filler", chunk * megabytes)
    return base64.b64encode(out.getvalue()).decode()


# Package and layers together are at most 250 MiB unpacked.
def test_unpacked_limit(aws):
    content = json.dumps({"Content": {"ZipFile": large_zip(130)}}).encode()
    assert aws.request("POST", "/2018-10-31/layers/large/versions", content).status == 201
    body = {"FunctionName": "too-large", "Runtime": "provided.al2023", "Role": ROLE, "Handler": "h",
            "Code": {"ZipFile": large_zip(125)}, "Layers": [LAYER + "large:1"]}
    reply = aws.request("POST", "/2015-03-31/functions", json.dumps(body).encode())
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (400, "InvalidParameterValueException"), reply
    assert ("Function code combined with layers exceeds the maximum allowed size of 262144000 bytes"
            in reply.json()["message"])
    assert aws.request("GET", "/2015-03-31/functions/too-large").status == 404
    assert aws.request("DELETE", "/2018-10-31/layers/large/versions/1").status == 204


# A hundred thousand calls over an alias land on its versions by their weights. Five standard
# deviations: chance alone fails it once in a million runs.
def test_weights(aws, compiled, tmp_path):
    source = ROOT / "examples" / "bootstrap-c"
    subprocess.run(["gcc", "-O2", "-static", "-o", tmp_path / "bootstrap", *source.glob("*.c")], check=True)
    load, calls, part = compiled("alias_load.c"), 100_000, 0.1
    (tmp_path / "f.zip").write_bytes(zipped({"bootstrap": (tmp_path / "bootstrap").read_bytes()}))
    create(aws, "weighed", f"fileb://{tmp_path}/f.zip", "--publish")
    aws.cli("wait", "published-version-active", "--function-name", "weighed", "--qualifier", "1")
    aws.cli("update-function-configuration", "--function-name", "weighed", "--memory-size", "144")
    aws.cli("wait", "function-updated-v2", "--function-name", "weighed")
    assert aws.json("publish-version", "--function-name", "weighed")["Version"] == "2"
    aws.cli("create-alias", "--function-name", "weighed", "--name", "live", "--function-version", "1",
            "--routing-config", f"AdditionalVersionWeights={{2={part}}}")
    wait_for("the alias at the gateway", lambda: aws.invoke("weighed%3Alive", {"name": "you"}).status == 200)
    out = run(["nsenter", f"--net={aws.network}", "--", str(load), "127.0.0.1", "8080",
               "/fn/default/weighed:live", str(calls), "8"], check=True).stdout
    counts = {int(k): int(v) for k, v in (line.split() for line in out.splitlines()) if k != "failed"}
    assert sum(counts.values()) == calls and "failed 0" in out, out
    assert set(counts) == {1, 2}
    deviation = (calls * part * (1 - part)) ** 0.5
    assert abs(counts[2] - calls * part) < 5 * deviation, counts
    aws.cli("delete-function", "--function-name", "weighed")
