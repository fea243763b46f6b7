"""What an agent has learned of when functions are called outlives it."""

import os
import re

import pytest
from lib import Dev, request, wait_for

CALLS = 7  # with idle times between them, enough for a pattern


@pytest.fixture
def own(new_folder):
    """A cluster that may be stopped."""
    dev = Dev(new_folder("dev"), f"mf-keep-{os.getpid()}")
    dev.start()
    yield dev
    dev.stop()


def again(dev):
    dev.mayfly("dev", "stop")
    dev.mayfly("dev", "--detach")
    wait_for("the function", lambda: dev.call("twice", b"0").status == 200)


def patterns(dev):
    text = request(dev.network(), 8092, "GET", "/metrics").body.decode()
    return int(re.search(r"^mayfly_function_patterns (\d+)$", text, re.M).group(1))


def test_what_was_learned_outlives_the_agent(own, package):
    """After a restart the agent knows the pattern, before it could have learned it anew. What
    was damaged meanwhile is said, and learned anew."""
    own.deploy(package("twice", {"run.sh": "#!/bin/sh\ncat\n"}), "twice", "--runtime", "exec",
               "--handler", "run.sh", "--keep-alive", "learned")
    assert patterns(own) == 0
    for _ in range(CALLS):
        assert own.call("twice", b"x").status == 200
    wait_for("a pattern", lambda: patterns(own) == 1)
    again(own)
    assert patterns(own) == 1
    kept = list((own.folder / "state").rglob("learned/calls"))
    assert len(kept) == 1 and kept[0].stat().st_size < 1000
    own.mayfly("dev", "stop")
    data = bytearray(kept[0].read_bytes())
    assert b"twice" in data
    data[-1] ^= 1
    kept[0].write_bytes(data)
    own.mayfly("dev", "--detach")
    wait_for("the function", lambda: own.call("twice", b"0").status == 200)
    assert patterns(own) == 0
    logs = "".join(p.read_text() for p in (own.folder / "state").rglob("*.log"))
    assert "it is learned anew" in logs and "it is damaged" in logs
