"""Layers: published, deployed with, deleted; and Lambda's extensions in them, in Python and shell."""

import json

from lib import wait_for

BOOTSTRAP = """#!/usr/bin/python3
import http.client, os, subprocess
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
while True:
    c = http.client.HTTPConnection(api)
    c.request("GET", "/2018-06-01/runtime/invocation/next")
    r = c.getresponse()
    what = r.read().decode()
    to = "/2018-06-01/runtime/invocation/" + r.headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        out = subprocess.run(what, shell=True, check=True, capture_output=True).stdout
        c.request("POST", to + "/response", out)
    except subprocess.CalledProcessError as e:
        c.request("POST", to + "/error", '{"errorType":"Failed","errorMessage":"%d"}' % e.returncode)
    c.getresponse().read()
"""

PYTHON_EXTENSION = """#!/usr/bin/python3
import http.client, json, os, sys
def ask(method, path, body=None, headers={}):
    c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    c.request(method, "/2020-01-01/extension/" + path, body, headers)
    r = c.getresponse()
    return r, r.read().decode()
r, _ = ask("POST", "register", '{"events":["INVOKE","SHUTDOWN"]}',
           {"Lambda-Extension-Name": os.path.basename(sys.argv[0])})
me = {"Lambda-Extension-Identifier": r.headers["Lambda-Extension-Identifier"]}
while True:
    event = json.loads(ask("GET", "event/next", None, me)[1])
    print("extension saw", event["eventType"], event.get("requestId", event.get("shutdownReason")), flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
"""

SHELL_EXTENSION = """#!/bin/bash
ask() { # method path [header] [body]: the reply in $reply
    exec 5<>/dev/tcp/127.0.0.1/9001
    printf '%s /2020-01-01/extension/%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n%s\\r\\nContent-Length: %d\\r\\n\\r\\n%s' \\
        "$1" "$2" "$3" "${#4}" "$4" >&5
    reply=$(cat <&5)
    exec 5<&- 5>&-
}
ask POST register "Lambda-Extension-Name: ${0##*/}" '{"events":["SHUTDOWN"]}'
id=$(printf '%s' "$reply" | tr -d '\\r' | sed -n 's/^lambda-extension-identifier: //Ip')
ask GET event/next "Lambda-Extension-Identifier: $id"
echo "shell extension heard ${reply##*shutdownReason}"
"""


def layer_versions(dev, name):
    items = json.loads(dev.mayfly("layer", "list", "-o", "json").stdout)["items"]
    return [v["number"] for v in items if v["name"] == name]


def test_layers_are_merged_at_opt(dev, package):
    """Later layers lie over earlier ones, a function keeps what it was deployed with, and a
    layer's programs are on the PATH."""
    one = package("one", {"bin/hi": "#!/bin/sh\necho hi of one\n", "a": "a of one", "b": "b of one"})
    two = package("two", {"b": "b of two"})
    out = dev.mayfly("layer", "publish", "first", one, "--description", "what it is").stdout
    assert out.strip() == "layer first:1"
    dev.mayfly("layer", "publish", "second", two)
    code = package("fn", {"bootstrap": BOOTSTRAP})
    dev.deploy(code, "layered", "--layer", "first", "--layer", "second:1")
    assert dev.call("layered", b"cat /opt/a; echo; cat /opt/b; echo; hi").body == \
        b"a of one\nb of two\nhi of one\n"
    assert dev.call("layered", b"echo x > /opt/a").status == 502  # it is read-only

    (one / "a").write_text("a of one, newer")
    assert dev.mayfly("layer", "publish", "first", one).stdout.strip() == "layer first:2"
    assert layer_versions(dev, "first") == [1, 2]
    dev.mayfly("layer", "delete", "first:1")
    assert layer_versions(dev, "first") == [2]
    assert dev.call("layered", b"cat /opt/a").body == b"a of one"  # as it was deployed
    dev.deploy(code, "layered", "--layer", "first", "--layer", "second:1")
    assert dev.call("layered", b"cat /opt/a").body == b"a of one, newer"
    out = dev.mayfly("deploy", code, "--name", "layered", "--layer", "first:1", check=False)
    assert out.returncode != 0 and "layer first has no version 1" in out.stderr
    dev.mayfly("delete", "layered")
    for version in ("first:2", "second:1"):
        dev.mayfly("layer", "delete", version)


def test_extensions_in_layers(dev, package):
    """External extensions in Python and shell see the calls and the end of their instance."""
    dev.mayfly("layer", "publish", "watchers", package("watchers", {
        "extensions/watcher": PYTHON_EXTENSION, "extensions/listener": SHELL_EXTENSION}))
    dev.deploy(package("watched", {"bootstrap": BOOTSTRAP}), "watched", "--layer", "watchers",
               "--idle", "1s")
    ids = [dev.call("watched", b"echo y").headers["X-Mayfly-Request-Id"] for _ in range(3)]

    def seen():
        log = dev.mayfly("logs", "watched", "--no-prefix", "--tail", "1000").stdout
        return all(f"extension saw INVOKE {i}" in log for i in ids) and \
            "extension saw SHUTDOWN spindown" in log and \
            'shell extension heard ":"spindown"' in log and \
            all(f"REPORT RequestId: {i}\t" in log for i in ids)

    wait_for("the extensions' lines", seen, timeout=60)
    dev.mayfly("delete", "watched")
    dev.mayfly("layer", "delete", "watchers:1")
