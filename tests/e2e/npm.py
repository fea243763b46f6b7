"""What npm's registry has, for tests: installed once, kept between runs, never in the tree."""

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess

import pytest


def _install(folder, packages, limit):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    npm = subprocess.Popen(
        ["npm", "install", "--no-audit", "--no-fund", "--fetch-retries", "1", *packages], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, stderr = npm.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(npm.pid, signal.SIGKILL)  # with the compilers that it has started
        npm.communicate()
        pytest.skip(f"npm install {' '.join(packages)} takes more than {limit} s here")
    if npm.returncode != 0:
        pytest.skip(f"npm install {' '.join(packages)}: {stderr.strip()[-300:]}")
    (folder / "done").touch()


def installed(*packages, limit=300):
    """A folder with node_modules of `packages` (name@version); skips where that cannot be had."""
    if shutil.which("npm") is None:
        pytest.skip(f"npm, which installs {packages[0]}, is not installed")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    name = "+".join(p.lstrip("@").replace("@", "-").replace("/", "-") for p in packages)
    folder = cache / "mayfly-tests" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{name}.lock", "w") as lock:  # runs side by side share it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _install(folder, packages, limit)
    return folder
