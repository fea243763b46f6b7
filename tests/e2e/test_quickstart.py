"""The first five minutes: one command, twice, and nothing left after `dev stop`."""

import os
import subprocess

from lib import PREFIX, ROOT, run


def mounts_and_groups(mark):
    found = []
    with open("/proc/self/mountinfo") as f:
        found += [line for line in f if mark in line]
    for base, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(base, f) for f in folders if f == mark]
    return found


def test_quickstart_twice_then_stop(tmp_path):
    name = "mf-test-quick"
    state = tmp_path / "quickstate"
    env = dict(os.environ, MAYFLY_DEV_DIR=str(state), NO_COLOR="1")
    prefix = tmp_path / "prefix"
    run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])
    # Not `ip netns exec`, which mounts another /sys: without control groups.
    inside = ["nsenter", f"--net=/run/netns/{name}", "--"]
    try:
        for _ in range(2):
            result = subprocess.run(
                [*inside, ROOT / "deploy" / "quickstart", "--prefix", prefix], env=env,
                capture_output=True, text=True, timeout=900)
            assert result.returncode == 0, result.stdout + result.stderr
            for example in ("thumbnail", "markdown", "webhook", "iot-aggregator",
                            "bootstrap-c", "http-python", "http-node", "python-invoice",
                            "node-redact", "node-export"):
                assert example in result.stdout
            assert "cold" in result.stdout and "warm" in result.stdout
        listing = run([*inside, prefix / "bin" / "mayfly", "list"], env=env).stdout
        assert "thumbnail" in listing
        run([*inside, prefix / "bin" / "mayfly", "dev", "stop"], env=env)
        assert run(["ip", "netns", "pids", name]).stdout.strip() == ""
        assert mounts_and_groups("quickstate") == []
    finally:
        run([*inside, prefix / "bin" / "mayfly", "dev", "stop"], env=env, check=False)
        run(["ip", "netns", "del", name])


def test_doctor_says_what_is_there():
    result = run([PREFIX / "bin" / "mayfly", "doctor"], check=False)
    assert "cgroup" in result.stdout
    result = run([PREFIX / "bin" / "mayfly", "doctor", "-o", "json"], check=False)
    assert result.stdout.lstrip().startswith(("{", "["))


def test_disk_full_during_deploy(tmp_path):
    """On a full disk a deploy is refused, and nothing half is there."""
    from lib import Dev

    disk = tmp_path / "disk"
    disk.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk])
    dev = Dev(disk, name="mf-test-full")
    try:
        dev.start()
        big = tmp_path / "big"
        big.write_bytes(os.urandom(16 * 1024 * 1024))
        result = dev.deploy(big, "big", "--runtime", "exec", check=False)
        assert result.returncode != 0
        assert "disk_full" in result.stderr, result.stderr
        assert dev.json("list")["items"] == []
        small = tmp_path / "small.sh"
        small.write_text("#!/bin/sh\necho small\n")
        small.chmod(0o755)
        dev.deploy(small, "small", "--runtime", "exec")
        assert dev.call("small").body == b"small\n"
    finally:
        dev.stop()
        run(["umount", disk])
