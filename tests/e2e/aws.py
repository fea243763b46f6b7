"""AWS's own tools against mayfly: the aws command line, boto3, and SigV4 by hand for what
Debian's boto3 does not know."""

import base64
import contextlib
import datetime
import hashlib
import hmac
import io
import json
import struct
import urllib.parse
import zipfile
import zlib

from lib import Connection, Reply, in_network

ROLE = "arn:aws:iam::000000000000:role/r"

# Speaks the Runtime API with curl: an echo that says so, and what tests ask for.
BOOTSTRAP = """#!/bin/bash
base="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$base/invocation/next") || exit 1
  id=$(grep -i '^lambda-runtime-aws-request-id:' "$headers" | tr -d '\\r' | cut -d' ' -f2)
  echo "working on $event"
  case "$event" in
    *'"fail"'*) curl -sS -X POST "$base/invocation/$id/error" \\
        -H 'Lambda-Runtime-Function-Error-Type: Function.Wanted' \\
        -d '{"errorMessage":"as wanted","errorType":"Wanted"}' ;;
    *'"exit"'*) exit 3 ;;
    *'"sleep"'*) sleep 30 ;;
    *'"env"'*) curl -sS -X POST "$base/invocation/$id/response" -d "{\\"env\\":\\"$COLOUR\\"}" ;;
    *'"version":"2.0"'*) curl -sS -X POST "$base/invocation/$id/response" \\
        -d "{\\"statusCode\\":201,\\"headers\\":{\\"x-from\\":\\"url\\"},\\"cookies\\":[\\"a=1\\",\\"b=2\\"],\\"body\\":$(printf '%s' "$event" | jq -Rs .)}" ;;
    *) curl -sS -X POST "$base/invocation/$id/response" -d "{\\"echo\\":$event}" ;;
  esac >/dev/null
  rm -f "$headers"
done
"""


def zipped(files):
    """A zip of name: text or bytes; what begins like a program is one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o755 if data[:2] == b"#!" or data[:4] == b"\x7fELF" else 0o644) << 16
            z.writestr(info, data)
    return out.getvalue()


class Signer:
    """Signature Version 4 (docs.aws.amazon.com, "Create a signed AWS API request")."""

    def __init__(self, key, secret, region="us-east-1", service="lambda"):
        self.key, self.secret, self.region, self.service = key, secret, region, service

    def headers(self, method, target, host, body=b"", headers=None, at=None, signed_body=None):
        at = at or datetime.datetime.now(datetime.timezone.utc)
        stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
        path, _, query = target.partition("?")
        all_headers = {"host": host, "x-amz-date": stamp}
        all_headers.update({k.lower(): v for k, v in (headers or {}).items()})
        names = ";".join(sorted(all_headers))
        pairs = sorted(
            (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~"))
            for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True)
        )
        canonical = "\n".join([
            method, urllib.parse.quote(path, safe="/-_.~"),
            "&".join(f"{k}={v}" for k, v in pairs),
            *[f"{k}:{all_headers[k].strip()}" for k in sorted(all_headers)], "", names,
            hashlib.sha256(body if signed_body is None else signed_body).hexdigest(),
        ])
        scope = f"{day}/{self.region}/{self.service}/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret).encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        result = dict(headers or {})
        result["X-Amz-Date"] = stamp
        result["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}")
        return result


def frames(data):
    """Decodes application/vnd.amazon.eventstream, checking both sums of each frame."""
    while data:
        total, headers_len, prelude_sum = struct.unpack(">III", data[:12])
        assert zlib.crc32(data[:8]) == prelude_sum
        assert zlib.crc32(data[:total - 4]) == struct.unpack(">I", data[total - 4:total])[0]
        at, headers = 12, {}
        while at < 12 + headers_len:
            n = data[at]
            name = data[at + 1:at + 1 + n].decode()
            kind, length = struct.unpack(">BH", data[at + 1 + n:at + 4 + n])
            assert kind == 7
            at += 4 + n
            headers[name] = data[at:at + length].decode()
            at += length
        yield headers, data[at:total - 4]
        data = data[total:]


class Aws:
    """One access key, one endpoint in a network namespace."""

    def __init__(self, client, key, secret, port=8080, host=None):
        self.client, self.key, self.secret, self.port = client, key, secret, port
        self.network = client.network(host)
        self.signer = Signer(key, secret)

    def cli(self, *args, check=True):
        env = dict(self.client.env, AWS_ACCESS_KEY_ID=self.key, AWS_SECRET_ACCESS_KEY=self.secret,
                   AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="", AWS_MAX_ATTEMPTS="1",
                   AWS_EC2_METADATA_DISABLED="true")
        from lib import run
        # Debian's: another one on the PATH may need what a test does not have.
        return run(["nsenter", f"--net={self.network}", "--", "/usr/bin/aws", "--endpoint-url",
                    f"http://127.0.0.1:{self.port}", "--cli-binary-format", "raw-in-base64-out",
                    "--output", "json", "lambda", *args], check=check, env=env)

    def json(self, *args):
        return json.loads(self.cli(*args).stdout or "null")

    @contextlib.contextmanager
    def boto3(self, **config):
        import boto3
        from botocore.config import Config

        with in_network(self.network):
            yield boto3.client(
                "lambda", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
                aws_access_key_id=self.key, aws_secret_access_key=self.secret,
                config=Config(retries={"max_attempts": 0}, **config))

    def request(self, method, target, body=b"", headers=None, sign=True, **kw):
        host = f"127.0.0.1:{self.port}"
        headers = dict(headers or {})
        if sign:
            headers = self.signer.headers(method, target, host, body, headers, **kw)
        connection = Connection(self.network, self.port)
        try:
            connection.request(method, target, body or None, {"Host": host, **headers})
            response = connection.getresponse()
            return Reply(response, response.read())
        finally:
            connection.close()

    def invoke(self, name, payload=None, headers=None, query=""):
        body = b"" if payload is None else json.dumps(payload).encode()
        return self.request("POST", f"/2015-03-31/functions/{name}/invocations{query}", body, headers)

    def create(self, name, files=None, **more):
        body = {"FunctionName": name, "Runtime": "provided.al2023", "Role": ROLE, "Handler": "h",
                "Timeout": 5,
                "Code": {"ZipFile": base64.b64encode(zipped(files or {"bootstrap": BOOTSTRAP})).decode()},
                **more}
        return self.request("POST", "/2015-03-31/functions", json.dumps(body).encode(),
                            {"Content-Type": "application/json"})

    def wait_active(self, name):
        from lib import wait_for

        def active():
            reply = self.request("GET", f"/2015-03-31/functions/{name}/configuration").json()
            assert reply["State"] != "Failed" and reply["LastUpdateStatus"] != "Failed", reply
            return reply if (reply["State"], reply["LastUpdateStatus"]) == ("Active", "Successful") else None

        return wait_for(f"{name} active", active)
