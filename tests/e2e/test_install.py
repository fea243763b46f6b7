"""What `cmake --install` puts beside the programs: units, users, configuration."""

import re

import pytest
import yaml
from lib import PREFIX, ROOT, run

SCRIPT = ROOT / "build" / "release" / "deploy" / "cmake_install.cmake"
DAEMONS = ("controller", "agent")


def install(prefix, destdir=None):
    env = {"PATH": "/usr/bin:/bin", "DESTDIR": str(destdir or "")}
    return run(["cmake", f"-DCMAKE_INSTALL_PREFIX={prefix}", "-P", SCRIPT], env=env)


def keys(tree, above=""):
    """Every key of a configuration, dotted."""
    for key, value in tree.items():
        if isinstance(value, dict) and key != "labels":
            yield from keys(value, f"{above}{key}.")
        else:
            yield above + key


@pytest.mark.parametrize("name", DAEMONS)
def test_default_configuration_is_accepted(name):
    config = PREFIX / "etc" / "mayfly" / f"{name}.yaml"
    result = run([PREFIX / "bin" / f"mayfly-{name}", "--config", config, "--check-config"],
                 check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", DAEMONS)
def test_default_configuration_explains_every_key(name, tmp_path):
    """What is commented out is YAML that the daemon takes, and no key is missing."""
    source = (ROOT / name / f"{name}_config.c").read_text()
    table = set(re.findall(r'(?:KEY\(|\{)"([a-z_.]+)", CONFIG_', source))
    text = (ROOT / "deploy" / "etc" / f"{name}.yaml").read_text()
    text = re.sub(r"^#((?:  +)?(?:[a-z_]+:|- ))", r"\1", text, flags=re.MULTILINE)
    assert set(keys(yaml.safe_load(text))) == table and len(table) > 10
    documented = (ROOT / "docs" / "operations.md").read_text()
    assert {k for k in table if f"`{k}`" not in documented} == set()
    if name == "controller":  # an endpoint belongs to etcd
        text = text.replace("engine: sqlite", "engine: etcd").replace("[]", "[http://10.0.0.1:2379]")
    else:
        text = text.replace("/usr/libexec/mayfly", str(PREFIX / "libexec" / "mayfly"))
    config = tmp_path / "all.yaml"
    config.write_text(text)
    result = run([PREFIX / "bin" / f"mayfly-{name}", "--config", config, "--check-config"],
                 check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", DAEMONS)
def test_units_are_valid(name):
    unit = PREFIX / "lib" / "systemd" / "system" / f"mayfly-{name}.service"
    result = run(["systemd-analyze", "verify", "--man=no", unit], check=False)
    complaints = [line for line in (result.stdout + result.stderr).splitlines()
                  if "mayfly" in line]
    assert complaints == []


def test_the_controllers_unit_is_hardened():
    unit = PREFIX / "lib" / "systemd" / "system" / "mayfly-controller.service"
    result = run(["systemd-analyze", "security", "--offline=yes", "--threshold=25", unit],
                 check=False)
    assert result.returncode == 0, result.stdout[-2000:]


def test_an_edited_configuration_is_kept(tmp_path):
    install("/usr", tmp_path)
    edited = tmp_path / "etc" / "mayfly" / "agent.yaml"
    edited.write_text("node: mine\n")
    result = install("/usr", tmp_path)
    assert edited.read_text() == "node: mine\n"
    assert "Kept" in result.stdout + result.stderr
    default = tmp_path / "usr" / "share" / "mayfly" / "etc" / "agent.yaml"
    assert default.read_bytes() == (ROOT / "deploy" / "etc" / "agent.yaml").read_bytes()


def test_paths_follow_the_prefix(tmp_path):
    """The prefix is chosen when it is installed, not when it is built."""
    install("/opt/mayfly", tmp_path)
    unit = tmp_path / "opt/mayfly/lib/systemd/system/mayfly-agent.service"
    assert ("ExecStart=/opt/mayfly/bin/mayfly-agent --config /opt/mayfly/etc/mayfly/agent.yaml"
            in unit.read_text())
