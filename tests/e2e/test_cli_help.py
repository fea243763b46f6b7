"""The command line by itself: help, man pages, completion, doctor."""

import json
import re
import subprocess
import time

import pytest
from cli_api import api, environment, filled, mayfly  # noqa: F401 (fixtures)
from cli_api import MAYFLY
from lib import PREFIX


def verbs(mayfly):
    return re.findall(r"^  ([a-z]+) +\S", mayfly("help").stdout.split("Verbs:")[1], re.M)


def test_help(mayfly):
    for verb in verbs(mayfly):
        text = mayfly("help", verb).stdout
        assert text.splitlines()[2].startswith("  "), verb  # examples come first
        assert mayfly(verb, "--help").stdout == text
    assert re.search(r"^9 ", mayfly("help", "exit-codes").stdout, re.M)
    assert "MAYFLY_URL" in mayfly("help", "environment").stdout
    assert mayfly("help", "nothing").returncode == 2


def test_man_pages(mayfly):
    """They are what groff takes without a warning, and are installed."""
    for page in ["mayfly", *verbs(mayfly)]:
        text = mayfly("help", "--man", page).stdout
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, text=True,
                                capture_output=True)
        assert result.stderr == "", page
        name = "mayfly.1" if page == "mayfly" else f"mayfly-{page}.1"
        assert (PREFIX / "share" / "man" / "man1" / name).read_text() == text


@pytest.mark.parametrize("daemon", ["controller", "agent"])
def test_man_pages_of_the_daemons(daemon):
    """They have every key that the program knows, and no other."""
    program = PREFIX / "bin" / f"mayfly-{daemon}"
    if not program.exists():
        pytest.skip(f"{program} is not there")
    known = subprocess.run([program, "--help"], text=True, capture_output=True, check=True)
    keys = re.findall(r"^  ([a-z_.]+)  +\S", re.split("keys:", known.stdout, flags=re.I)[1], re.M)
    page = PREFIX / "share" / "man" / "man5" / f"mayfly-{daemon}.yaml.5"
    assert sorted(re.findall(r"^\.TP\n\.B (\S+)", page.read_text(), re.M)) == sorted(keys)
    for page in (page, PREFIX / "share" / "man" / "man8" / f"mayfly-{daemon}.8"):
        result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], text=True,
                                capture_output=True)
        assert result.stderr == "", page


def complete(environment, *words):
    """What bash offers for the last of the words."""
    script = f"""
        source <({MAYFLY} completion bash)
        COMP_WORDS=({' '.join(f"'{w}'" for w in words)}) COMP_CWORD={len(words) - 1}
        compopt() {{ :; }}
        _mayfly
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    env = dict(environment, PATH=f"{PREFIX}/bin:{environment['PATH']}")
    result = subprocess.run(["bash", "-c", script], env=env, text=True, capture_output=True,
                            timeout=30)
    assert result.stderr == ""
    return result.stdout.split()


def test_completion(environment, filled, tmp_path):
    assert sorted(complete(environment, "mayfly", "de")) == \
        ["delete", "deploy", "describe", "dev"]
    assert complete(environment, "mayfly", "deploy", "--mem") == ["--memory"]
    assert complete(environment, "mayfly", "list", "-o", "j") == ["json"]
    assert complete(environment, "mayfly", "list", "--output", "=", "j") == ["json"]
    assert complete(environment, "mayfly", "invoke", "he") == ["hello"]
    assert complete(environment, "mayfly", "-n", "team", "invoke", "") == []
    assert complete(environment, "mayfly", "invoke", "-n", "") == ["default"]
    (tmp_path / "some file").touch()
    assert complete(environment, "mayfly", "deploy", f"{tmp_path}/so") == \
        [f"{tmp_path}/some", "file"]
    started = time.monotonic()
    assert complete(dict(environment, MAYFLY_URL="http://192.0.2.1:1"), "mayfly", "logs", "") == []
    assert time.monotonic() - started < 5  # nobody waits for an API that does not answer


def test_doctor(mayfly):
    result = mayfly("doctor", "-o", "json")
    report = json.loads(result.stdout)
    checks = {c["name"]: c for c in report["checks"]}
    assert {"kernel", "namespaces", "mounts", "cgroups", "cgroup memory", "disk", "clock",
            "mayfly-agent", "port 8080", "controller"} <= set(checks)
    assert all(c["status"] in ("ok", "warn", "fail") for c in checks.values())
    assert all("fix" in c for c in checks.values() if c["status"] != "ok")
    assert result.returncode == (0 if report["ok"] else 1)
    assert checks["controller"]["status"] == "ok"
    assert "cgroups" in mayfly("doctor").stdout
