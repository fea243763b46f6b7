"""`mayfly events` against a real host: what happened is told, as it happens."""

import json
import subprocess

from lib import Background

SCRIPT = "#!/bin/sh\necho hello\n"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_functions_life_is_told(dev, package):
    """Deploy, a version that cannot start, delete: in order, with the reason."""
    good = package("events-good", {"run.sh": SCRIPT})
    bad = package("events-bad", {"bootstrap": "#!/bin/sh\nexit 3\n"})
    dev.deploy(good, "told", "--runtime", "exec", "--handler", "run.sh")
    dev.deploy(bad, "told", "--runtime", "provided", check=False)
    dev.mayfly("delete", "told")
    events = lines(dev.mayfly("events", "told", "-o", "json").stdout)
    assert [e["kind"] for e in events if e["kind"] != "scaled"] == [
        "deployed", "version_ready", "deployed", "version_failed", "deleted"]
    assert [e["version"] for e in events if e["kind"] == "deployed"] == [1, 2]
    assert "init_failed" in [e["text"] for e in events if e["kind"] == "version_failed"][0]
    assert all(e["function"] == "told" for e in events)


def test_following_shows_what_comes(dev, package):
    """A reader that follows gets an event without asking again."""
    follow = subprocess.Popen(
        ["nsenter", f"--net={dev.network()}", "--", "mayfly", "events", "followed", "-f",
         "--tail", "0"], env=dev.env, stdout=subprocess.PIPE, text=True)
    try:
        first = Background(follow.stdout.readline)
        dev.deploy(package("f", {"run.sh": SCRIPT}), "followed", "--runtime", "exec",
                   "--handler", "run.sh")
        assert "followed v1 was deployed" in first.result()
    finally:
        follow.kill()
        follow.wait()
    dev.mayfly("delete", "followed")


def test_a_node_that_came(dev):
    """The host itself is told of, and can be asked for by name."""
    node = dev.json("nodes")["items"][0]["name"]
    events = lines(dev.mayfly("events", "--node", node, "-o", "json").stdout)
    assert events[0]["kind"] == "node_joined"
    assert "MiB" in events[0]["text"]


def test_wrong_usage(dev):
    """What cannot be meant is said with the option's name."""
    bad = dev.mayfly("events", "--tail", "x", check=False)
    assert bad.returncode == 2 and "--tail" in bad.stderr
    bad = dev.mayfly("events", "No_Name", check=False)
    assert bad.returncode == 2 and "no function's name" in bad.stderr
