"""The command line by itself, against a controller and a gateway that are played by the test:
deploying, its messages and exit codes, addresses. No cluster is needed."""

import hashlib
import io
import json
import os
import socket
import subprocess
import tarfile
import time
import zipfile

import pytest
from cli_api import api, environment, filled, mayfly  # noqa: F401 (fixtures)
from cli_api import DIGEST, FUNCTION, SCRIPT, failure, function, hang_up, on_a_terminal, version


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "hello.sh"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    return path


@pytest.fixture
def deployable(api):
    """A controller that takes a deploy; its versions' states are what is given, in turn."""

    def make(*states):
        left = list(states)

        def next_state(h):
            h.reply(200, left.pop(0) if len(left) > 1 else left[0])

        api.on("PUT", f"/v1/packages/{DIGEST}", 201, {})
        api.on("PUT", FUNCTION, 201, function(state="deploying"))
        api.on("GET", FUNCTION, 200, function())
        api.on("GET", FUNCTION + "/versions/3", next_state)

    return make


# --- deploy ---------------------------------------------------------------------------


def test_deploy_sends_package_then_version_then_waits(api, mayfly, script, deployable):
    """The package goes by its digest, the spec with it; the end says what changed and where."""
    deployable(version("deploying"), version("ready"))
    result = mayfly("deploy", script, "--memory", "64Mi", "-e", "A=1")
    assert result.returncode == 0, result.stderr
    assert [r[3] for r in api.requests("PUT", "/packages/")] == [SCRIPT.encode()]
    assert f"/v1/packages/{DIGEST}?format=file&file_name=hello.sh" in \
        [r[1] for r in api.requests("PUT")]
    body = json.loads(api.requests("PUT", "/functions/")[0][3])
    assert body["package"]["digest"] == DIGEST
    assert body["spec"]["memory_mib"] == 64 and body["spec"]["env"] == {"A": "1"}
    assert result.stdout.splitlines()[-1] == f"{api.url}/fn/default/hello"
    assert "version 3" in result.stdout
    assert "runtime: exec" in result.stderr  # it was guessed
    assert result.stderr.splitlines()[-1] == "next: mayfly invoke hello"


def test_deploy_sends_a_known_package_only_once(api, mayfly, script, deployable):
    deployable(version("ready"))
    api.on("HEAD", f"/v1/packages/{DIGEST}", 200, b"")
    assert mayfly("deploy", script).returncode == 0
    assert api.requests("PUT", "/packages/") == []


def test_deploy_without_waiting(api, mayfly, script, deployable):
    deployable(version("deploying"))
    result = mayfly("deploy", script, "--no-wait", "-o", "json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["latest_version"] == 3
    assert api.requests("GET", "/versions/") == []
    assert mayfly("deploy", script, "--no-wait", "--wait").returncode == 2


@pytest.mark.parametrize("cause,code", [
    ("init_failed", 9), ("start_failed", 9), ("crashed", 9), ("oom", 9), ("timeout", 9),
    ("no_capacity", 8), ("internal", 1)])
def test_deploy_ends_with_the_reason(mayfly, script, deployable, cause, code):
    """A version that failed: cause, message and what to do, and the exit code of the cause."""
    deployable(version("deploying"), version("failed", cause, "exited with status 7"))
    result = mayfly("deploy", script)
    assert result.returncode == code
    assert "error: cannot deploy \"hello\": version 3 failed: exited with status 7" \
        in result.stderr
    assert f"\n  code: {cause}\n" in result.stderr
    assert "\n  try: " in result.stderr
    assert result.stdout == ""


def test_deploy_waits_no_longer_than_it_shall(mayfly, script, deployable):
    """6: it may still become ready; 8: because there is no room for it."""
    deployable(version("deploying"))
    result = mayfly("deploy", script, "--wait-timeout", "300ms")
    assert result.returncode == 6
    assert "may still become so" in result.stderr
    deployable(version("deploying", "no_capacity", "no node has 64 MiB free"))
    result = mayfly("deploy", script, "--wait-timeout", "300ms")
    assert result.returncode == 8
    assert "no node has 64 MiB free" in result.stderr and "code: no_capacity" in result.stderr


def test_deploy_overtaken(api, mayfly, script, deployable):
    """A newer version, or a delete, ends the wait: 7."""
    deployable(version("retired"))
    result = mayfly("deploy", script)
    assert result.returncode == 7 and "replaced by a newer one" in result.stderr
    deployable(version("ready"))
    del api.routes["GET", FUNCTION + "/versions/3"]
    result = mayfly("deploy", script)
    assert result.returncode == 7 and "deleted meanwhile" in result.stderr


@pytest.mark.parametrize("status,cause,code", [
    (400, "bad_request", 1), (401, "unauthorized", 4), (403, "forbidden", 4),
    (404, "not_found", 3), (409, "conflict", 7), (503, "store_unavailable", 1),
    (503, "no_capacity", 8), (507, "disk_full", 1)])
def test_deploy_refused(api, mayfly, script, deployable, status, cause, code):
    deployable(version("ready"))
    api.on("PUT", FUNCTION, status, failure(cause, "the message", "the fix"))
    result = mayfly("deploy", script)
    assert result.returncode == code
    assert result.stderr.endswith("error: cannot deploy \"hello\": the message\n"
                                  f"  try: the fix\n  code: {cause}\n")


def test_upload_refused_in_the_middle(api, mayfly, tmp_path):
    """The controller says why and hangs up: that is what is told, not the broken pipe."""
    big = tmp_path / "big"
    big.write_bytes(b"#!" + os.urandom(16 << 20))
    digest = hashlib.sha256(big.read_bytes()).hexdigest()

    def full(h):
        h.rfile.read(1 << 20)
        h.reply(507, failure("disk_full", "no space left"), {"Connection": "close"})
        h.close_connection = True
        h.connection.shutdown(socket.SHUT_WR)
        while h.rfile.read1(1 << 16):
            pass

    full.raw = True
    api.on("PUT", f"/v1/packages/{digest}", full)
    result = mayfly("deploy", big)
    assert result.returncode == 1
    assert "no space left" in result.stderr and "code: disk_full" in result.stderr


def test_deploy_survives_a_controller_that_restarts(api, mayfly, script, deployable):
    """The version is recorded: who waits for it goes on when the controller is back."""
    deployable(version("ready"))
    answers = iter([None, None, (503, failure("store_unavailable", "no")), (200, version("ready"))])

    def flaky(h):
        answer = next(answers)
        if answer is None:
            hang_up(h)
        else:
            h.reply(*answer)

    api.on("GET", FUNCTION + "/versions/3", flaky)
    result = mayfly("deploy", script)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("does not answer: waiting") == 1


def test_deploy_unreachable(mayfly, script):
    result = mayfly("deploy", script, "--url", "127.0.0.1:1")
    assert result.returncode == 5
    assert "http://127.0.0.1:1" in result.stderr and "code: unreachable" in result.stderr


def bad_archives():
    zipped, tarred, bomb = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as z:
        z.writestr("../../evil", "x")
    with tarfile.open(fileobj=tarred, mode="w") as t:
        info = tarfile.TarInfo("null")
        info.type = tarfile.CHRTYPE
        t.addfile(info)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("bomb.bin", b"\0" * (300 << 20))
    return [("../../evil", zipped.getvalue()), ("null", tarred.getvalue()),
            ("bomb.bin", bomb.getvalue())]


def test_hostile_archives_are_named_by_entry(api, mayfly, tmp_path):
    """They are refused before anything is sent."""
    for entry, data in bad_archives():
        path = tmp_path / "bad.archive"
        path.write_bytes(data)
        result = mayfly("deploy", path, "--runtime", "exec", "--handler", "x")
        assert result.returncode == 1
        assert entry in result.stderr and "code: package_invalid" in result.stderr
    assert api.seen == []


def test_archive_with_a_bootstrap(api, mayfly, tmp_path, deployable):
    deployable(version("ready"))
    path = tmp_path / "hello.zip"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("bootstrap", "#!/bin/sh\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    api.on("PUT", f"/v1/packages/{digest}", 201, {})
    result = mayfly("deploy", path)
    assert result.returncode == 0, result.stderr
    assert "runtime: provided" in result.stderr
    assert json.loads(api.requests("PUT", "/functions/")[0][3])["package"]["format"] == "zip"


def test_version_skew_warns_and_goes_on(api, mayfly, script, deployable):
    deployable(version("ready"))
    api.on("GET", "/v1/version", 200, {"version": "0.3.1"})
    result = mayfly("deploy", script)
    assert result.returncode == 0
    assert "warning: this is mayfly 0.1.0" in result.stderr and "0.3.1" in result.stderr
    api.on("GET", "/v1/version", 200, {"version": "0.1.9"})
    assert "warning" not in mayfly("deploy", script).stderr


# --- terminals ------------------------------------------------------------------------


def test_progress_and_colour_on_a_terminal_only(environment, mayfly, script, deployable):
    states = [version("deploying"), version("failed", "oom", "killed")]
    deployable(*states)
    off = mayfly("deploy", script)
    assert "\r" not in off.stderr and "\033" not in off.stderr
    assert off.stderr.count("version 3 is starting") == 1
    deployable(*states)
    on, code = on_a_terminal(environment, "deploy", script)
    assert code == 9
    assert "\r\033[K" in on and "\033[1;31merror:" in on
    deployable(*states)
    on, code = on_a_terminal(dict(environment, NO_COLOR="1"), "deploy", script)
    assert "\033[1;31m" not in on and "error:" in on
    deployable(*states)
    on, code = on_a_terminal(dict(environment, TERM="dumb"), "deploy", script)
    assert "\033" not in on


# --- addresses, usage ------------------------------------------------------------------


def test_whose_address_wins(filled, api, mayfly):
    """Flag, environment, default; a wrong one says where it came from."""
    assert mayfly("list", "--url", api.url, env={"MAYFLY_URL": "http://127.0.0.1:1"}) \
        .returncode == 0
    result = mayfly("list", env={"MAYFLY_URL": "http://127.0.0.1:1"})
    assert result.returncode == 5 and "(MAYFLY_URL)" in result.stderr
    assert mayfly("list", env={"MAYFLY_URL": api.url + "/"}).returncode == 0
    assert mayfly("list", env={"MAYFLY_URL": "ftp://x"}).returncode == 2


def test_what_is_no_controller(api, mayfly):
    api.on("GET", "/v1/nodes", 200, b"<html>")
    result = mayfly("nodes")
    assert result.returncode == 1 and "no JSON" in result.stderr
    api.on("GET", "/v1/nodes", 404, b"<html>")
    assert "is this the address of a mayfly controller?" in mayfly("nodes").stderr


def test_usage_errors_suggest(mayfly):
    result = mayfly("lst")
    assert result.returncode == 2 and "did you mean list?" in result.stderr
    result = mayfly("deploy", "x", "--memroy", "1")
    assert result.returncode == 2 and "did you mean --memory?" in result.stderr
    assert "mayfly help deploy" in result.stderr
    assert mayfly("list", "-n", "No_Name").returncode == 2


def test_version_without_a_controller(mayfly):
    result = mayfly("version", "--url", "127.0.0.1:1")
    assert result.returncode == 0
    assert "does not answer" in result.stdout
