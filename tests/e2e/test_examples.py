"""The examples do real work, on the one-host cluster that newcomers get."""

import hashlib
import hmac
import json
import subprocess

from lib import ROOT


def example(dev, name):
    dev.deploy(ROOT / "examples" / name, name)


def test_thumbnail(dev, tmp_path):
    example(dev, "thumbnail")
    image = tmp_path / "in.png"
    subprocess.run(["convert", "-size", "800x600", "gradient:red-blue", image], check=True)
    reply = dev.call("thumbnail", image.read_bytes(), headers={"Content-Type": "image/png"})
    assert reply.status == 200, reply
    out = tmp_path / "out"
    out.write_bytes(reply.body)
    size = subprocess.run(["identify", "-format", "%w %h", out], check=True,
                          capture_output=True, text=True).stdout.split()
    assert max(map(int, size)) < 600
    reply = dev.call("thumbnail", b"this is no image")
    assert 400 <= reply.status < 600


def test_markdown(dev):
    example(dev, "markdown")
    reply = dev.call("markdown", b"# Title\n\n*soft* and **hard** `code`\n\n- a\n- b\n\n<b>raw</b>\n")
    assert reply.status == 200, reply
    text = reply.body.decode()
    assert "<h1>Title</h1>" in text
    assert "<em>soft</em>" in text and "<strong>hard</strong>" in text
    assert text.count("<li>") == 2


def test_webhook(dev):
    dev.deploy(ROOT / "examples" / "webhook", "webhook", "--env", "WEBHOOK_SECRET=s3cret")
    body = json.dumps({"event": "paid", "amount": 12}).encode()
    good = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    reply = dev.call("webhook", body, headers={"X-Hub-Signature-256": good})
    assert reply.status == 200, reply
    reply = dev.call("webhook", body, headers={"X-Hub-Signature-256": "sha256=" + "0" * 64})
    assert reply.status == 401, reply
    assert dev.call("webhook", body).status == 401


def test_iot_aggregator(dev):
    example(dev, "iot-aggregator")
    readings = [{"sensor": "t1", "value": v} for v in (20, 22, 24)] + \
               [{"sensor": "t2", "value": 5}]
    reply = dev.call("iot-aggregator", json.dumps(readings).encode())
    assert reply.status == 200, reply
    assert "t1" in reply.body.decode() and "22" in reply.body.decode()


def test_bootstrap_in_c(dev):
    example(dev, "bootstrap-c")
    assert dev.call("bootstrap-c", b'{"name": "Ada"}').status == 200


def test_http_servers(dev):
    for name in ("http-python", "http-node"):
        example(dev, name)
        assert dev.call(name, path="/hello").status == 200
