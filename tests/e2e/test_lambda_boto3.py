"""boto3 (Debian's package): waiters, paginators, errors; functions in C and Go."""

import base64
import json
import os
import subprocess

import pytest
from aws import BOOTSTRAP, ROLE, Aws, zipped
from lib import ROOT

GO = r"""
package main

import ("bytes"; "fmt"; "io"; "net/http"; "os")

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		reply, err := http.Get(base + "next")
		if err != nil { os.Exit(1) }
		event, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		id := reply.Header.Get("Lambda-Runtime-Aws-Request-Id")
		answer := fmt.Sprintf(`{"go":%s}`, event)
		done, err := http.Post(base+id+"/response", "application/json", bytes.NewBufferString(answer))
		if err == nil { done.Body.Close() }
	}
}
"""


@pytest.fixture(scope="module")
def aws(dev):
    key = dev.json("keys", "create")
    yield Aws(dev, key["access_key_id"], key["secret_access_key"])
    dev.mayfly("keys", "delete", key["access_key_id"])


def make(client, name, files, **more):
    client.create_function(FunctionName=name, Runtime="provided.al2023", Role=ROLE, Handler="h", Timeout=5,
                           Code={"ZipFile": zipped(files)}, **more)


# Waiters end when the function is there, changed and gone; a paginator sees each once.
def test_waiters_and_paginators(aws):
    with aws.boto3() as client:
        names = [f"page-{i}" for i in range(3)]
        for name in names:
            make(client, name, {"bootstrap": BOOTSTRAP})
        client.get_waiter("function_exists").wait(FunctionName=names[0])
        for name in names:
            client.get_waiter("function_active_v2").wait(FunctionName=name)
        pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
        found = [f["FunctionName"] for page in pages for f in page["Functions"]]
        assert len(pages) >= 2 and [n for n in found if n in names] == names
        client.update_function_configuration(FunctionName=names[0], MemorySize=256)
        client.get_waiter("function_updated_v2").wait(FunctionName=names[0])
        assert client.get_function_configuration(FunctionName=names[0])["MemorySize"] == 256
        for name in names:
            client.delete_function(FunctionName=name)
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_function(FunctionName=names[0])


# The waiters of versions, and the paginators of everything that comes in pages.
def test_versions_in_pages(aws):
    with aws.boto3() as client:
        make(client, "many", {"bootstrap": BOOTSTRAP}, Publish=True)
        client.get_waiter("published_version_active").wait(FunctionName="many", Qualifier="1")
        for i in range(2, 4):
            client.get_waiter("function_updated_v2").wait(FunctionName="many")
            client.update_function_configuration(FunctionName="many", MemorySize=128 + 16 * i)
            client.get_waiter("function_updated").wait(FunctionName="many")
            assert client.publish_version(FunctionName="many")["Version"] == str(i)
        for name in ("a", "b", "c"):
            client.create_alias(FunctionName="many", Name=name, FunctionVersion="1")
            client.put_function_event_invoke_config(FunctionName="many", Qualifier=name, MaximumRetryAttempts=0)
            client.create_function_url_config(FunctionName="many", Qualifier=name, AuthType="NONE")
            client.publish_layer_version(LayerName="paged", Content={"ZipFile": zipped({"x": name})})
        for number in ("1", "2", "3"):
            client.put_provisioned_concurrency_config(FunctionName="many", Qualifier=number,
                                                      ProvisionedConcurrentExecutions=1)

        def names(paginator, member, key, **more):
            pages = list(client.get_paginator(paginator).paginate(PaginationConfig={"PageSize": 2}, **more))
            assert len(pages) >= 2 and all(len(page[member]) <= 2 for page in pages)
            return [item[key].rsplit(":", 1)[-1] if isinstance(item[key], str) else item[key]
                    for page in pages for item in page[member]]

        many = {"FunctionName": "many"}
        assert names("list_versions_by_function", "Versions", "Version", **many) == ["$LATEST", "1", "2", "3"]
        assert names("list_aliases", "Aliases", "Name", **many) == ["a", "b", "c"]
        assert names("list_function_event_invoke_configs", "FunctionEventInvokeConfigs", "FunctionArn",
                     **many) == ["a", "b", "c"]
        assert names("list_function_url_configs", "FunctionUrlConfigs", "FunctionArn", **many) == ["a", "b", "c"]
        assert names("list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", "FunctionArn",
                     **many) == ["1", "2", "3"]
        assert names("list_layer_versions", "LayerVersions", "Version", LayerName="paged") == [3, 2, 1]
        for version in (1, 2, 3):
            client.delete_layer_version(LayerName="paged", VersionNumber=version)
        client.delete_function(FunctionName="many")


# The payload is a stream, and the log's tail beside it.
def test_streams(aws):
    with aws.boto3() as client:
        make(client, "streamed", {"bootstrap": BOOTSTRAP})
        client.get_waiter("function_active").wait(FunctionName="streamed")
        text = "x" * 100_000
        reply = client.invoke(FunctionName="streamed", LogType="Tail", Payload=json.dumps({"t": text}).encode())
        parts = list(reply["Payload"].iter_chunks(4096))
        assert len(parts) > 1 and json.loads(b"".join(parts)) == {"echo": {"t": text}}
        assert base64.b64decode(reply["LogResult"]).decode().rstrip().rsplit("\n", 1)[-1].startswith("REPORT")
        client.delete_function(FunctionName="streamed")


# Errors are the classes that boto3 knows.
def test_exceptions(aws):
    with aws.boto3() as client:
        make(client, "twice", {"bootstrap": BOOTSTRAP})
        with pytest.raises(client.exceptions.ResourceConflictException):
            make(client, "twice", {"bootstrap": BOOTSTRAP})
        with pytest.raises(client.exceptions.InvalidParameterValueException):
            client.create_function(FunctionName="bad", Runtime="provided.al2023", Role=ROLE, Handler="h",
                                   Code={"ZipFile": b"no zip"})
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.invoke(FunctionName="nosuch")
        with pytest.raises(client.exceptions.PreconditionFailedException):
            client.update_function_configuration(FunctionName="twice", Timeout=9, RevisionId="x")
        client.delete_function(FunctionName="twice")


# A native program in Go that speaks the Runtime API by hand.
def test_go(aws, tmp_path):
    (tmp_path / "main.go").write_text(GO)
    subprocess.run(["go", "build", "-o", tmp_path / "bootstrap", tmp_path / "main.go"], check=True,
                   env=dict(os.environ, CGO_ENABLED="0", GO111MODULE="off", GOCACHE=str(tmp_path / "cache"),
                            HOME=str(tmp_path)))
    with aws.boto3() as client:
        make(client, "in-go", {"bootstrap": (tmp_path / "bootstrap").read_bytes()})
        client.get_waiter("function_active_v2").wait(FunctionName="in-go")
        reply = client.invoke(FunctionName="in-go", Payload=b'{"n":1}')
        assert json.loads(reply["Payload"].read()) == {"go": {"n": 1}}
        client.delete_function(FunctionName="in-go")


# And one in C, of the examples.
def test_c(aws, tmp_path):
    source = ROOT / "examples" / "bootstrap-c"
    subprocess.run(["gcc", "-O2", "-static", "-o", tmp_path / "bootstrap", *source.glob("*.c")], check=True)
    with aws.boto3() as client:
        make(client, "in-c", {"bootstrap": (tmp_path / "bootstrap").read_bytes()})
        client.get_waiter("function_active_v2").wait(FunctionName="in-c")
        reply = client.invoke(FunctionName="in-c", Payload=b'{"numbers":[1,2,3]}')
        assert reply["StatusCode"] == 200
        client.delete_function(FunctionName="in-c")
