"""`mayfly dev` itself: what it starts, watches over, says and cleans up. The daemons are played
by scripts, so that they can be made to fail; the real ones are what the other tests use."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest
from lib import PREFIX, run, wait_for

NETWORK = "mf-test-cli"
# Not `ip netns exec`, which mounts another /sys: without the control groups.
INSIDE = ["nsenter", f"--net=/run/netns/{NETWORK}"]

# Serves /readyz on the port that its configuration names, until SIGTERM.
DAEMON = """#!/usr/bin/python3
import http.server, os, pathlib, signal, subprocess, sys, yaml
path = pathlib.Path(sys.argv[sys.argv.index("--config") + 1])
config = yaml.safe_load(path.read_text())
signal.signal(signal.SIGTERM, lambda *a: os._exit(0))
print("started with", path, file=sys.stderr, flush=True)
if (path.parent / "fail").exists():
    sys.exit("cannot do it: a reason")
{extra}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{{"nodes": {{"ready": 1, "total": 1}}}}')
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer((config["{key}"]["host"], config["{key}"]["port"]),
                                Handler).serve_forever()
"""

# The agent also has a warden, which does not end with it, and a group with a process in it.
WARDEN = """
state = config["state_dir"]
subprocess.Popen(["mayfly-warden", "--state-dir", state + "/warden", "300"],
                 executable=str(pathlib.Path(sys.argv[0]).parent / "sleeper"))
group = pathlib.Path("/sys/fs/cgroup/pids" if os.path.isdir("/sys/fs/cgroup/pids")
                     else "/sys/fs/cgroup") / config["cgroup"] / "7"
group.mkdir(parents=True, exist_ok=True)
inside = subprocess.Popen(["sleep", "300"])
(group / "cgroup.procs").write_text(str(inside.pid))
pathlib.Path(state).mkdir(exist_ok=True)
pathlib.Path(state, "inside").write_text(str(inside.pid))
"""


def cgroups(name):
    return [p for p in pathlib.Path("/sys/fs/cgroup").glob(f"**/{name}") if p.is_dir()]


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Played:
    """An installed mayfly whose daemons are scripts, in a network of its own."""

    def __init__(self, root):
        self.root = root
        self.state = root / "state"
        for folder in ("bin", "libexec/mayfly"):
            (root / folder).mkdir(parents=True)
        shutil.copy(PREFIX / "bin" / "mayfly", root / "bin")
        self.program("bin/mayfly-controller", DAEMON.format(key="rest", extra=""))
        self.program("bin/mayfly-agent", DAEMON.format(key="metrics", extra=WARDEN))
        self.program("libexec/mayfly/mayfly-warden", "#!/bin/sh\n")
        self.program("libexec/mayfly/mayfly-init", "#!/bin/sh\n")
        # what plays the warden takes any arguments
        self.program("bin/sleeper", "#!/bin/sh\nexec -a mayfly-warden sleep 300\n")
        (root / "sleeper.c").write_text("#include <unistd.h>\nint main(void){sleep(300);}\n")
        run(["gcc", "-o", root / "bin" / "sleeper", root / "sleeper.c"])
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MAYFLY_")}
        self.env.update(MAYFLY_DEV_DIR=str(self.state), NO_COLOR="1", TERM="dumb")

    def program(self, path, text):
        file = self.root / path
        file.write_text(text)
        file.chmod(0o755)

    def command(self, *args):
        return [*INSIDE, self.root / "bin" / "mayfly", *args]

    def __call__(self, *args, check=False, **kw):
        return run(self.command(*args), check=check, env=self.env, **kw)

    def file(self):
        return json.loads((self.state / "dev.json").read_text())

    def pids(self):
        """Of all processes that have to do with this state folder."""
        found = []
        for p in pathlib.Path("/proc").iterdir():
            if p.name.isdigit() and int(p.name) != os.getpid():
                try:
                    line = (p / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.state).encode() in line and alive(p.name):
                    found.append(int(p.name))
        return found

    def cgroup(self):
        import yaml
        return yaml.safe_load((self.state / "agent.yaml").read_text())["cgroup"]

    def assert_nothing_left(self, cgroup, *pids):
        assert self.pids() == []
        assert [p for p in pids if alive(p)] == []
        assert cgroups(cgroup) == []
        assert not (self.state / "dev.json").exists()
        assert not (self.state / "token").exists()


@pytest.fixture
def dev():
    root = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-dev-"))
    root.chmod(0o755)
    run(["ip", "netns", "add", NETWORK])
    run(["ip", "-n", NETWORK, "link", "set", "lo", "up"])
    played = Played(root)
    yield played
    played("dev", "stop")
    for pid in played.pids():
        os.kill(pid, signal.SIGKILL)
    run(["ip", "netns", "del", NETWORK])
    shutil.rmtree(root)


def inside(dev):
    return int((dev.state / "agent" / "inside").read_text())


def test_start_and_stop(dev):
    """Detached: it returns when both are ready, says where they are, and stop leaves nothing.
    Starting twice and stopping twice are harmless."""
    result = dev("dev", "--detach", check=True)
    assert "http://127.0.0.1:8080/fn/NAME" in result.stdout
    assert "http://127.0.0.1:8090" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("next: mayfly deploy PATH")
    assert (dev.state / "token").stat().st_mode & 0o777 == 0o600
    assert len(dev.pids()) == 3
    cgroup, pid = dev.cgroup(), inside(dev)
    again = dev("dev", "--detach", check=True)
    assert "runs already" in again.stderr and again.stdout == result.stdout
    stopped = dev("dev", "stop", check=True)
    assert "stopped" in stopped.stderr
    dev.assert_nothing_left(cgroup, pid)
    assert "does not run" in dev("dev", "stop", check=True).stderr
    dev("dev", "--detach", check=True)
    assert "started with" in (dev.state / "log" / "controller.log").read_text()


def test_ports_in_use(dev):
    """Another port is taken and said, and other verbs find it; a port that was asked for is
    not replaced, and who has it is told."""
    holder = subprocess.Popen(
        [*INSIDE, "python3", "-c",
         "import socket\ns = socket.create_server(('127.0.0.1', 8090))\nprint(1, flush=True)\n"
         "s.accept()"], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        result = dev("dev", "--detach", "--rest-port", "8090")
        assert result.returncode == 1
        assert f"port 8090 (--rest-port) is in use (by python3, pid {holder.pid})" in result.stderr
        result = dev("dev", "--detach", check=True)
        assert f"port 8090 is in use (by python3, pid {holder.pid}); the REST API gets 18090" \
            in result.stderr
        assert "http://127.0.0.1:18090" in result.stdout
        version = json.loads(dev("version", "-o", "json", check=True).stdout)
        assert version["url"] == "http://127.0.0.1:18090"
    finally:
        holder.kill()
        holder.wait()


def test_a_daemon_that_dies_is_started_again(dev):
    dev("dev", "--detach", check=True)
    before = dev.file()["mayfly-agent"]
    os.kill(before["pid"], signal.SIGKILL)
    wait_for("another agent", lambda: dev.file()["mayfly-agent"]["pid"] not in (0, before["pid"]))
    assert "mayfly-agent was killed by signal 9" in (dev.state / "log" / "dev.log").read_text()
    assert dev.file()["mayfly-controller"]["pid"] != 0


@pytest.mark.parametrize("end", ["stop", "detach"])
def test_a_killed_supervisor_is_cleaned_up_after(dev, end):
    """Its daemons, the warden and the groups it left: by stop, or before the next start."""
    dev("dev", "--detach", check=True)
    cgroup, pid, state = dev.cgroup(), inside(dev), dev.file()
    os.kill(state["supervisor"]["pid"], signal.SIGKILL)
    os.kill(state["mayfly-agent"]["pid"], signal.SIGKILL)
    wait_for("the kill", lambda: not alive(state["mayfly-agent"]["pid"]))
    assert alive(pid) and alive(state["mayfly-controller"]["pid"])
    if end == "detach":
        result = dev("dev", "--detach", check=True)
        assert "cleaned up" in result.stderr
        assert not alive(pid) and not alive(state["mayfly-controller"]["pid"])
        assert len(dev.pids()) == 3
        pid = inside(dev)
    result = dev("dev", "stop", check=True)
    assert ("stopped" if end == "detach" else "cleaned up") in result.stderr
    dev.assert_nothing_left(cgroup, pid, state["mayfly-controller"]["pid"])


def test_somebody_elses_pid_is_not_hit(dev):
    """A state file from before a reboot names pids that are other processes' by now."""
    dev.state.mkdir()
    bystander = subprocess.Popen(["sleep", "300"])
    try:
        process = {"pid": bystander.pid, "start": 12}
        (dev.state / "dev.json").write_text(json.dumps(
            {"host": "127.0.0.1", "ready": True, "supervisor": process,
             "mayfly-controller": process, "mayfly-agent": process, "ports": {}}))
        dev("dev", "stop", check=True)
        dev("dev", "--detach", check=True)
        dev("dev", "stop", check=True)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_daemon_that_cannot_start(dev):
    """Which one, how it ended and what it said; and nothing is left running."""
    dev.state.mkdir()
    (dev.state / "fail").touch()
    result = dev("dev", "--detach")
    assert result.returncode == 1
    assert "mayfly-controller ended with status 1 before it was ready" in result.stderr
    assert "cannot do it: a reason" in result.stderr
    assert dev.pids() == [] and not (dev.state / "dev.json").exists()


def test_a_daemon_that_is_never_ready(dev):
    dev.program("bin/mayfly-agent", "#!/bin/sh\nexec sleep 300\n")
    result = dev("dev", "--detach", "--ready-timeout", "1s")
    assert result.returncode == 1
    assert "mayfly-agent was not ready within 1 s" in result.stderr
    assert dev.pids() == []


def test_foreground(dev):
    """Ctrl-C ends both; their logs come to the terminal."""
    process = subprocess.Popen(dev.command("dev"), env=dev.env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen = []
    for text in process.stdout:
        seen.append(text)
        if "Ctrl-C ends it" in text:
            break
    assert any("started with" in text for text in seen), seen
    cgroup, pid = dev.cgroup(), inside(dev)
    assert "runs already" in dev("dev", "--detach", check=True).stderr
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    dev.assert_nothing_left(cgroup, pid)


def test_what_is_missing_is_told(dev):
    """Programs that are not there; not being root."""
    (dev.root / "libexec" / "mayfly" / "mayfly-warden").unlink()
    result = dev("dev", "--detach")
    assert result.returncode == 1
    assert "mayfly-warden" in result.stderr and "not found" in result.stderr
    result = run([dev.root / "bin" / "mayfly", "dev"], check=False, env=dev.env, user="nobody",
                 cwd="/")
    assert result.returncode == 4
    assert "needs root" in result.stderr and "sudo" in result.stderr


def test_two_clusters_beside_each_other(dev):
    """Another state folder is another cluster, with its own ports and groups."""
    dev("dev", "--detach", check=True)
    other = dev.root / "other"
    try:
        result = dev("dev", "--detach", "--dir", other, check=True)
        assert "http://127.0.0.1:18090\n" in result.stdout  # REST; ours has 8090
        assert f"export MAYFLY_DEV_DIR={other}" in result.stderr
        ours, theirs = (
            (folder / "agent.yaml").read_text() for folder in (dev.state, other))
        own = [line for line in theirs.splitlines() if line.startswith(("cgroup: ", "uid_base: "))]
        assert len(own) == 2 and not set(own) & set(ours.splitlines())
    finally:
        dev("dev", "stop", "--dir", other, check=True)
    assert len(dev.pids()) == 3


def test_listening_elsewhere(dev):
    """On all addresses: callers on this host are told the loopback one."""
    result = dev("dev", "--detach", "--host", "0.0.0.0", check=True)
    assert "http://127.0.0.1:8080" in result.stdout
    config = (dev.state / "controller.yaml").read_text()
    assert '"0.0.0.0"' in config and "http://127.0.0.1:8090" in config
    dev("dev", "stop", check=True)
    result = dev("dev", "--detach", "--host", "192.0.2.1")
    assert result.returncode == 1 and "192.0.2.1" in result.stderr
