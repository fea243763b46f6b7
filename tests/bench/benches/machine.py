"""What the machine is, how busy others keep it, and what a process has used of it."""

import ctypes
import os
import pathlib
import platform
import statistics
import subprocess
import time

CPUS = sorted(os.sched_getaffinity(0))
_libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def own_network():
    """This process, and what it starts, in a network of its own: ports are free there."""
    if _libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare the network: are you root?")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def plain_environment():
    """What whoever starts the bench has set must not be a peer's: NODE_EXTRA_CA_CERTS alone makes
    a start of Node.js take half as long again."""
    for name in set(os.environ) - {"PATH", "HOME", "USER", "TERM", "TMPDIR"}:
        del os.environ[name]
    os.environ["LANG"] = "C.UTF-8"


def describe():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpus": len(CPUS), "model": model, "kernel": platform.release(),
            "memory_mib": memory >> 20}


def pin(pid, cpus):
    """All threads of a process."""
    for task in tasks(pid):
        try:
            os.sched_setaffinity(task, cpus)
        except ProcessLookupError:
            pass  # it has ended meanwhile


def tasks(pid):
    try:
        return [int(t) for t in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError:
        return []


def cpu_us(pids):
    """Processor time of these processes; of what interrupts take there is nothing in it."""
    total = 0
    for pid in pids:
        for task in tasks(pid):
            try:
                total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return total / 1000


def memory(pid):
    """PSS and private memory, in bytes."""
    values = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        words = line.split()
        if words[0].endswith(":") and words[-1] == "kB":
            values[words[0][:-1]] = int(words[1]) * 1024
    return {"pss": values["Pss"], "rss": values["Rss"],
            "private": values["Private_Clean"] + values["Private_Dirty"]}


def processes():
    """(pid, parent, name, command line) of all."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, rest = stat[stat.index("(") + 1:].rsplit(")", 1)
        yield int(entry), int(rest.split()[1]), name, command.decode(errors="replace").split("\0")


def _steal():
    words = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    values = [int(w) for w in words]
    return values[7] if len(values) > 7 else 0, sum(values[:8])


class Noise:
    """How much of the machine others take: asked before each round, with the bench at rest."""

    def __init__(self):
        self.free, self.loads = [], []
        self.steal = _steal()

    def probe(self):
        shares = []
        for cpu in CPUS[:4]:
            os.sched_setaffinity(0, {cpu})
            wall, used = time.perf_counter(), time.process_time()
            while time.perf_counter() - wall < 0.04:
                pass
            shares.append((time.process_time() - used) / (time.perf_counter() - wall))
        os.sched_setaffinity(0, CPUS)
        self.free.append(statistics.mean(shares))
        self.loads.append(os.getloadavg()[0])

    def report(self):
        steal, total = (b - a for a, b in zip(self.steal, _steal()))
        return {"free": round(statistics.median(self.free), 3), "free_min": round(min(self.free), 3),
                "load": round(statistics.median(self.loads), 2),
                "steal": round(steal / total, 4) if total else 0}


def too_noisy(noise):
    """Why nothing should be concluded; empty: nothing speaks against it."""
    if noise["free"] < 0.85:
        return f"others took {100 - 100 * noise['free']:.0f} % of the processors"
    if noise["steal"] > 0.05:
        return f"the host took {100 * noise['steal']:.0f} % of the processors (steal)"
    return ""
