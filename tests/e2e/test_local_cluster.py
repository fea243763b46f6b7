"""deploy/local-cluster itself: what it says, what it breaks and mends, and that it leaves nothing.

The shared cluster is used, and left as it was: up, with three nodes.
"""

import os
import pathlib

from lib import ROOT, connect, run, wait_for

TOOL = ROOT / "deploy" / "local-cluster"



def status(cluster):
    """{(host, daemon): (pid, state)} as `status` prints it."""
    lines = cluster.tool("status", check=False).stdout.splitlines()[1:]
    return {(w[0], w[2]): (w[3], " ".join(w[4:])) for w in map(str.split, lines)}


def what_is_there():
    """Processes, network namespaces and control groups of local-cluster's hosts."""
    found = [n for n in os.listdir("/run/netns")
             if n.startswith(("mf-ctl", "mf-node")) or n == "mf-net"]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = pathlib.Path("/proc", pid, "environ").read_bytes()
            command = pathlib.Path("/proc", pid, "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if any(e.startswith(b"MAYFLY_CLUSTER_HOST=") for e in environ.split(b"\0")) or \
                b"mayfly-cluster-node" in command:
            found.append(f"{pid}: {command!r}")
    for base, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(base, f) for f in folders if f.startswith("mayfly-cluster")]
    with open("/proc/self/mountinfo") as f:
        found += [line for line in f if "mayfly-cluster" in line or "/hosts/node" in line]
    return found


def test_up_again_says_what_runs(cluster):
    """Nothing is started twice, and the table has every daemon."""
    before = status(cluster)
    assert {"etcd", "controller"} <= {d for h, d in before if h == "ctl1"}
    assert all(state == "running" for _, state in before.values()), before
    result = cluster.tool("up")
    assert "node3" in result.stdout and "running" in result.stdout
    assert status(cluster) == before


def test_up_keeps_the_number_of_nodes(cluster):
    result = cluster.tool("up", "--nodes", "1", check=False)
    assert result.returncode == 1
    assert "3 nodes" in result.stderr and "down" in result.stderr


def test_another_folder_is_refused(cluster, tmp_path):
    """There is one cluster at most: its addresses and names are fixed."""
    other = dict(cluster.env, MAYFLY_CLUSTER_DIR=str(tmp_path / "other"))
    result = run([TOOL, "up"], check=False, env=other)
    assert result.returncode == 1
    assert str(cluster.folder) in result.stderr


def test_exec_passes_input_output_and_status(cluster):
    result = cluster.exec("node2", "sh", "-c", "cat; echo $MAYFLY_GATEWAY; exit 7",
                          input="from here\n", check=False)
    assert result.returncode == 7
    assert result.stdout == "from here\nhttp://127.0.0.1:8080\n"
    assert cluster.exec("node2", "mayfly", "version").stdout


def test_wrong_words_are_explained(cluster):
    for args, said in ((["frobnicate"], "frobnicate"), (["exec", "node9", "true"], "node9"),
                       (["kill", "node1", "etcd"], "agent"), (["up", "--nodes", "x"], "--nodes")):
        result = cluster.tool(*args, check=False)
        assert result.returncode in (1, 2), result
        assert said in result.stderr


def test_kill_and_start(cluster):
    """A killed agent is dead in the table and lost in the cluster; start brings it back."""
    cluster.tool("kill", "node3")
    assert status(cluster)[("node3", "agent")] == ("-", "dead")
    assert cluster.tool("status", check=False).returncode == 1
    cluster.tool("start", "node3")
    assert status(cluster)[("node3", "agent")][1] == "running"
    cluster.wait_ready()


def test_cut_and_heal(cluster):
    """A host that is cut off reaches nobody; its own gateway goes on listening."""
    cluster.tool("cut", "node2")
    try:
        assert "cut off" in status(cluster)[("node2", "agent")][1]
        answer = cluster.exec("node2", "curl", "-s", "--max-time", "2",
                              "http://10.83.0.1:8090/healthz", check=False)
        assert answer.returncode != 0
        connect(cluster.network("node2"), 8080, timeout=5).close()
    finally:
        cluster.tool("heal", "node2")
    wait_for("the controller to be reached",
             lambda: cluster.exec("node2", "curl", "-s", "--max-time", "2",
                                  "http://10.83.0.1:8090/healthz", check=False).returncode == 0)
    cluster.wait_ready()


def test_down_leaves_nothing_even_of_broken_hosts(cluster):
    """Not after a kill, not after a cut, and not twice."""
    cluster.tool("kill", "node1")
    cluster.tool("cut", "node2")
    cluster.down()
    try:
        assert what_is_there() == []
        assert not os.path.exists("/run/mayfly-cluster")
        cluster.down()
        assert cluster.tool("status", check=False).returncode == 1
    finally:
        cluster.up(nodes=3)
        cluster.wait_ready()


def test_a_failed_up_says_why_and_leaves_nothing(cluster, tmp_path):
    """The end of the log that matters is shown."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    for name in ("mayfly", "mayfly-controller", "mayfly-agent"):
        program = prefix / "bin" / name
        program.write_text("#!/bin/sh\necho the port is taken >&2\nexit 3\n")
        program.chmod(0o755)
    cluster.down()
    try:
        broken = dict(cluster.env, MAYFLY_PREFIX=str(prefix))
        result = run([TOOL, "up"], check=False, env=broken)
        assert result.returncode == 1
        assert "controller on ctl1 has ended" in result.stderr
        assert "the port is taken" in result.stderr
        assert what_is_there() == []
    finally:
        cluster.up(nodes=3)
        cluster.wait_ready()
