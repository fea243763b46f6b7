"""Functions of Python and JavaScript modules, from `deploy` to the reply; and Lambda's own
runtime clients, which run unmodified as `provided`."""

import json
import shutil

import npm
import pytest
from lib import wait_for

PYTHON = """
import os, sys, time
def handler(event, context):
    what = event.get("do")
    if what == "raise":
        raise KeyError("odd")
    if what == "exit":
        sys.exit(7)
    if what == "hang":
        time.sleep(1000)
    if what == "no json":
        return object()
    print("greets", event.get("name"))
    return {"hello": event.get("name"), "pid": os.getpid()}
"""

NODE = """
exports.handler = async (event) => {
  switch (event.do) {
    case 'raise': throw new RangeError('odd');
    case 'exit': process.exit(7);
    case 'hang': for (;;);
    case 'no json': return 1n;
  }
  console.log('greets', event.name);
  return { hello: event.name, pid: process.pid };
};
"""

LANGUAGES = [("python", "app.py", PYTHON), ("node", "index.js", NODE)]


def event(**members):
    return json.dumps(members).encode()


@pytest.mark.parametrize("language,file,text", LANGUAGES, ids=["python", "node"])
def test_bad_days(dev, package, language, file, text):
    """A handler that fails, leaves, hangs, or returns what is no JSON: each ends with its cause,
    and the next call is served."""
    name = f"days-{language}"
    result = dev.deploy(package(name, {file: text}), name, "--timeout", "2s", "--memory", "128")
    assert f"runtime: {language}" in result.stderr  # guessed, and said
    for what, status, cause, kind in (
            ("raise", 502, "function_error", {"python": "KeyError", "node": "RangeError"}),
            ("no json", 502, "function_error", {"python": "Runtime.MarshalError",
                                                "node": "Runtime.MarshalError"}),
            ("exit", 502, "crashed", None),
            ("hang", 504, "timeout", None)):
        reply = dev.call(name, event(do=what))
        assert (reply.status, reply.cause) == (status, cause), (what, reply)
        if kind is not None:
            assert reply.json()["errorType"] == kind[language], reply
        if what == "exit":
            assert "exit status 7" in reply.json()["error"]["message"]
        reply = dev.call(name, event(name="Zoë"))
        assert reply.status == 200, (what, reply)
        assert reply.json()["hello"] == "Zoë"
    wait_for("the log", lambda: "greets Zoë" in dev.mayfly("logs", name).stdout)


@pytest.mark.parametrize("language,file,text,said", [
    ("python3.11", "app.py", "import nothing_like_it\ndef handler(e, c): pass\n",
     "Unable to import module 'app': No module named 'nothing_like_it'"),
    ("python", "app.py", "def handler(e, c)\n", "Runtime.UserCodeSyntaxError"),
    ("nodejs20.x", "app.js", "require('nothing-like-it'); exports.handler = 1\n",
     "Cannot find module 'nothing-like-it'"),
    ("node", "app.js", "exports.handler = 1\n", "app.handler is not a function"),
])
def test_deploy_says_why_it_cannot_begin(dev, package, language, file, text, said):
    name = f"begin-{file.replace('.', '-')}-{len(text)}"
    result = dev.deploy(package(name, {file: text}), name, "--runtime", language, "--handler",
                        "app.handler", check=False)
    assert result.returncode != 0
    assert said in result.stderr, result.stderr


def test_a_file_alone(dev, tmp_path):
    """`mayfly deploy greet.mjs` and nothing else; what is deployed says its runtime."""
    source = tmp_path / "app.mjs"
    source.write_text("export const handler = async (event) => event;\n")
    dev.deploy(source, "alone")
    assert dev.call("alone", b"[1]").json() == [1]
    described = json.loads(dev.mayfly("describe", "alone", "-o", "json").stdout)
    assert described["spec"]["runtime"] == "node"
    assert described["spec"]["handler"] == "app.handler"


@pytest.mark.parametrize("file,text", [
    ("app.py", "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n"),
    ("app.js", "let n = 0;\nexports.handler = async () => ++n;\n"),
], ids=["python", "node"])
def test_every_call_in_a_fresh_sandbox(dev, package, file, text):
    name = f"fresh-{file.replace('.', '-')}"
    dev.deploy(package(name, {file: text}), name, "--no-reuse")
    assert [dev.call(name, b"{}").json() for _ in range(3)] == [1, 1, 1]
    dev.deploy(package(f"{name}-2", {file: text}), name)
    assert [dev.call(name, b"{}").json() for _ in range(3)] == [1, 2, 3]


# --- Lambda's own runtime clients ----------------------------------------------------------------

RIC = "aws-lambda-ric@3.3.0"
RIC_HANDLER = """
exports.handler = async (event, context) => {
  if (event.fail) throw new RangeError('as asked');
  return { event, id: context.awsRequestId, left: context.getRemainingTimeInMillis() > 0 };
};
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain');
  for (let i = 0; i < 3; i++) stream.write(`part ${i}\\n`);
  stream.end();
});
"""


@pytest.fixture(scope="session")
def node_ric():
    """The client with its native part, which npm builds."""
    for tool in ("autoconf", "automake", "libtoolize", "cmake", "g++", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool}, with which {RIC} is built, is not installed")
    return npm.installed(RIC)


def test_lambdas_client_for_node(dev, node_ric, tmp_path):
    folder = tmp_path / "ric"
    shutil.copytree(node_ric, folder, symlinks=True,
                    ignore=shutil.ignore_patterns("deps", "src", "obj.target", "done"))
    (folder / "index.js").write_text(RIC_HANDLER)
    bootstrap = folder / "bootstrap"
    bootstrap.write_text("#!/bin/sh\nexec node node_modules/aws-lambda-ric/bin/index.mjs "
                         '"$_HANDLER"\n')
    bootstrap.chmod(0o755)
    dev.deploy(folder, "ric", "--handler", "index.handler")
    reply = dev.call("ric", event(a=1))
    assert reply.status == 200, reply
    assert reply.json()["event"] == {"a": 1} and reply.json()["left"]
    assert reply.json()["id"] == reply.headers["X-Mayfly-Request-Id"]
    reply = dev.call("ric", event(fail=True))
    assert (reply.status, reply.cause) == (502, "function_error"), reply
    assert reply.json()["errorMessage"] == "as asked"
    dev.deploy(folder, "ric", "--handler", "index.stream")
    reply = dev.call("ric", event())
    assert reply.body == b"part 0\npart 1\npart 2\n"
    result = dev.deploy(folder, "ric-bad", "--handler", "index.none", check=False)
    assert "none is undefined or not exported" in result.stderr, result.stderr
