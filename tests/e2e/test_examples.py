"""The examples do real work, on the one-host cluster that newcomers get."""

import hashlib
import hmac
import importlib.util
import json
import subprocess
import time

import pytest
from lib import ROOT, run


def example(dev, name, *options):
    dev.deploy(ROOT / "examples" / name, name, *options)


def size_of(image):
    """(format, width, height) as ImageMagick reads it."""
    out = subprocess.run(["/usr/bin/identify", "-format", "%m %w %h", "-"], input=image,
                         check=True, capture_output=True).stdout.decode().split()
    return out[0], int(out[1]), int(out[2])


@pytest.fixture(scope="session")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "in.png"
    run(["/usr/bin/convert", "-size", "800x600", "gradient:red-blue", path])
    return path.read_bytes()


# --- thumbnail ---------------------------------------------------------------------------


def test_thumbnail(dev, picture):
    example(dev, "thumbnail")
    reply = dev.call("thumbnail", picture)
    assert reply.status == 200, reply
    assert size_of(reply.body) == ("JPEG", 320, 240)
    reply = dev.call("thumbnail", picture, path="?size=100&format=png")
    assert size_of(reply.body) == ("PNG", 100, 75)


def test_thumbnail_refuses(dev, picture):
    """No image, no sense in the size, no format that could do more than hold a picture."""
    example(dev, "thumbnail")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    for body, path in ((b"this is no image", ""), (svg, ""), (picture, "?size=0"),
                       (picture, "?size=9999"), (picture, "?format=svg"), (picture, "?what=1")):
        reply = dev.call("thumbnail", body, path=path)
        assert (reply.status, reply.cause) == (502, "function_error"), (path, reply)


# --- markdown ----------------------------------------------------------------------------


def test_markdown(dev):
    example(dev, "markdown")
    reply = dev.call("markdown", b"# Title\n\n*soft* and **hard** `code`\n\n- a\n- b\n\n<b>raw</b>\n")
    assert reply.status == 200, reply
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    text = reply.body.decode()
    assert "<h1>Title</h1>" in text
    assert "<em>soft</em>" in text and "<strong>hard</strong>" in text
    assert text.count("<li>") == 2
    assert "<b>" not in text
    assert dev.call("markdown", b"x", path="?page").body.startswith(b"<!DOCTYPE html>")
    assert dev.call("markdown", b"\xff").status == 400
    assert dev.call("markdown").status == 405


@pytest.fixture(scope="session")
def render():
    """The renderer alone: it needs no cluster."""
    spec = importlib.util.spec_from_file_location(
        "mayfly_example_markdown", ROOT / "examples" / "markdown" / "markdown.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.render


@pytest.mark.parametrize("source,html", [
    ("a\nb", "<p>a\nb</p>\n"),
    ("a  \nb", "<p>a<br>\nb</p>\n"),
    ("## A *b* ##", "<h2>A <em>b</em></h2>\n"),
    ("#no", "<p>#no</p>\n"),
    ("***x***", "<p><em><strong>x</strong></em></p>\n"),
    ("*a **b** c*", "<p><em>a <strong>b</strong> c</em></p>\n"),
    ("a * b * c", "<p>a * b * c</p>\n"),
    ("snake_case_name", "<p>snake_case_name</p>\n"),
    (r"\*no\*", "<p>*no*</p>\n"),
    ("`a < b` ``x ` y``", "<p><code>a &lt; b</code> <code>x ` y</code></p>\n"),
    ("```c\nif (a < b)\n```", '<pre><code class="language-c">if (a &lt; b)\n</code></pre>\n'),
    ("    indented", "<pre><code>indented\n</code></pre>\n"),
    ("> a\nb", "<blockquote>\n<p>a\nb</p>\n</blockquote>\n"),
    ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n"),
    ("7) a", '<ol start="7">\n<li>a</li>\n</ol>\n'),
    ("- a\n  - b", "<ul>\n<li>a\n<ul>\n<li>b</li>\n</ul>\n</li>\n</ul>\n"),
    ("- a\n\n- b", "<ul>\n<li>\n<p>a</p>\n</li>\n<li>\n<p>b</p>\n</li>\n</ul>\n"),
    ("---", "<hr>\n"),
    ('[a](/b "c")', '<p><a href="/b" title="c">a</a></p>\n'),
    ("![a *b*](c.png)", '<p><img src="c.png" alt="a b"></p>\n'),
    ("<https://a.example/?b&c>",
     '<p><a href="https://a.example/?b&amp;c">https://a.example/?b&amp;c</a></p>\n'),
    ("&copy; & &lt;", "<p>© &amp; &lt;</p>\n"),
    ("", ""),
])
def test_markdown_renders(render, source, html):
    assert render(source) == html


@pytest.mark.parametrize("source", [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "![x](data:text/html,<script>)",
    '[x](/a "onmouseover=\'<script>")',
    '[x](/"onclick="alert)',
    "```\"><script>\n```",
    "<javascript:alert(1)>",
])
def test_markdown_cannot_run_anything(render, source):
    html = render(source)
    assert "<script" not in html
    assert 'href="javascript' not in html.lower() and 'src="data' not in html
    assert '"onclick' not in html


@pytest.mark.parametrize("piece", ["*a ", "a**b", "[", "[a](", "![a](b", "`", "> ", "- ", "<http://",
                                   "_", "a  ", "\\", "# ", "[a](b \"", "1. ", "~~~", "&"])
def test_markdown_takes_linear_time(render, piece):
    """Nothing that a stranger sends keeps the renderer busy for long."""
    started = time.monotonic()
    render(piece * 50_000)
    render((piece + "\n") * 20_000)
    assert time.monotonic() - started < 20


# --- webhook -----------------------------------------------------------------------------


def test_webhook(dev):
    example(dev, "webhook", "--env", "WEBHOOK_SECRET=s3cret")
    body = json.dumps({"event": "paid", "amount": 12}).encode()
    good = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    reply = dev.call("webhook", body, headers={"X-Hub-Signature-256": good})
    assert reply.status == 200, reply
    assert reply.json()["event"] == "paid"
    for wrong in ("sha256=" + "0" * 64, good[:-1], good.removeprefix("sha256="), ""):
        reply = dev.call("webhook", body, headers={"X-Hub-Signature-256": wrong})
        assert reply.status == 401, reply
    assert dev.call("webhook", body).status == 401
    assert dev.call("webhook", body + b" ", headers={"X-Hub-Signature-256": good}).status == 401


def test_webhook_without_a_secret_does_not_start(dev):
    """It fails at the deploy, not at the first event."""
    result = dev.deploy(ROOT / "examples" / "webhook", "secretless", check=False)
    assert result.returncode == 9, result
    assert "init_failed" in result.stderr
    assert "WEBHOOK_SECRET is not set" in dev.mayfly("logs", "secretless").stdout


# --- iot-aggregator ------------------------------------------------------------------------


def test_iot_aggregator(dev):
    """Readings add up over calls; a late one is not the last one."""
    example(dev, "iot-aggregator")
    dev.call("iot-aggregator", method="DELETE")
    readings = [{"sensor": "t1", "value": v, "ts": v} for v in (20, 24)] + \
               [{"sensor": "t2", "value": 5}]
    reply = dev.call("iot-aggregator", json.dumps(readings).encode())
    assert reply.status == 200, reply
    assert set(reply.json()["sensors"]) == {"t1", "t2"}
    reply = dev.call("iot-aggregator", b'{"sensor": "t1", "value": 22, "ts": 1}')
    assert reply.json()["sensors"] == {
        "t1": {"count": 3, "min": 20, "max": 24, "mean": 22, "last": 24, "last_ts": 24}}
    assert set(dev.call("iot-aggregator").json()["sensors"]) == {"t1", "t2"}


def test_iot_aggregator_takes_a_batch_whole_or_not(dev):
    example(dev, "iot-aggregator")
    dev.call("iot-aggregator", method="DELETE")
    good = {"sensor": "t", "value": 1}
    for bad in ({"sensor": "t"}, {"value": 1}, {"sensor": "", "value": 1}, 7,
                {"sensor": "t", "value": "1"}, {"sensor": "t", "value": True},
                {"sensor": "t", "value": 1, "unit": "C"}, {"sensor": "t", "value": float("nan")}):
        reply = dev.call("iot-aggregator", json.dumps([good, bad]).encode())
        assert reply.status == 400, (bad, reply)
        assert "reading 1" in reply.json()["error"]
    assert dev.call("iot-aggregator", b"no JSON").status == 400
    assert dev.call("iot-aggregator").json()["sensors"] == {}


# --- functions of modules ------------------------------------------------------------------


def test_invoice(dev):
    example(dev, "python-invoice")
    items = [{"price": 9.99, "quantity": 3, "tax": 19}, {"price": 4.5, "tax": 7}]
    reply = dev.call("python-invoice", json.dumps({"items": items}).encode())
    assert reply.status == 200, reply
    assert reply.json() == {"net": "34.47", "tax": {"7%": "0.32", "19%": "5.69"},
                            "total": "40.48"}
    for bad in ({}, {"items": []}, {"items": [{}]}, {"items": [{"price": -1}]},
                {"items": [{"price": "x"}]}, {"items": [{"price": 1, "tax": "inf"}]}):
        reply = dev.call("python-invoice", json.dumps(bad).encode())
        assert (reply.status, reply.cause) == (502, "function_error"), (bad, reply)
        assert reply.json()["errorType"] == "InvalidInvoice"


def test_redact(dev):
    example(dev, "node-redact")
    text = ("ada@example.org paid with 4111 1111 1111 1111 from 10.0.0.7; order "
            "1234567890123456; Authorization: Bearer abc.def-ghi")
    reply = dev.call("node-redact", json.dumps({"text": text}).encode())
    assert reply.status == 200, reply
    assert reply.json() == {
        "text": "[email] paid with [card] from [ip]; order 1234567890123456; "
                "Authorization: [token]",
        "found": {"email": 1, "card": 1, "ip": 1, "token": 1}}
    reply = dev.call("node-redact", b"{}")
    assert (reply.status, reply.cause) == (502, "function_error"), reply
    assert reply.json()["errorType"] == "TypeError"


def test_export(dev):
    example(dev, "node-export")
    reply = dev.call("node-export", b'{"rows": 300000}')
    assert reply.status == 200, reply
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    lines = reply.body.decode().split("\r\n")
    assert lines[1] == '1,"article ""1""",0.99'
    assert len(lines) == 300002 and lines[-2].startswith("300000,")
    assert len(reply.body) > 6 << 20  # more than a reply that does not stream may have
    reply = dev.call("node-export", b'{"rows": -1}')
    assert (reply.status, reply.cause) == (502, "function_error"), reply


# --- bootstrap-c and the servers -----------------------------------------------------------


def test_bootstrap_in_c(dev):
    example(dev, "bootstrap-c")
    reply = dev.call("bootstrap-c", b'{"name": "Ad\\u00e1 \\"A\\""}')
    assert reply.status == 200, reply
    assert reply.json()["greeting"] == 'Hello, Ad\xe1 "A"!'
    for bad in (b"{}", b"no JSON", b'{"name": 3}', b'{"name": "x"} {}', b"[" * 1000):
        reply = dev.call("bootstrap-c", bad)
        assert (reply.status, reply.cause) == (502, "function_error"), (bad, reply)
        assert "event" in reply.body.decode()
    assert dev.call("bootstrap-c", b'{"name": "Ada"}').status == 200


@pytest.mark.parametrize("name", ["http-python", "http-node"])
def test_http_servers(dev, name):
    example(dev, name, "--env", "GREETING=Ada")
    reply = dev.call(name, path="/any/path?x=%20")
    assert reply.status == 200, reply
    assert reply.json() == {"hello": "Ada", "path": "/any/path?x=%20",
                            "request_id": reply.headers["X-Mayfly-Request-Id"]}
