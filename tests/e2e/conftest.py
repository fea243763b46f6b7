"""Fixtures of the end-to-end tests: installed programs, real etcd, real network namespaces.

MAYFLY_PREFIX names where the programs are installed (tests/run sets it).
"""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import Cluster, Dev, PREFIX, ROOT  # noqa: E402
from rest import Controller  # noqa: E402


def pytest_sessionstart(session):
    # A shell without job control starts what it puts in the background with SIGINT ignored,
    # and children inherit that: Ctrl-C would then do nothing in the programs under test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests need root: sandboxes and network namespaces", 1)
    if not (PREFIX / "bin" / "mayfly").exists():
        pytest.exit(f"no mayfly in {PREFIX}/bin: run tests/run --only e2e", 1)


def let_in(folder):
    """pytest's folders are its user's own; the agents' unprivileged user must get through."""
    while folder.name != "tmp" and folder.parent != folder:
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
        folder = folder.parent


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory):
    """new_folder("name"): for the state of a cluster."""

    def make(name):
        folder = tmp_path_factory.mktemp(name)
        let_in(folder)
        return folder

    return make


@pytest.fixture(autouse=True)
def enterable(tmp_path):
    let_in(tmp_path)


@pytest.fixture(scope="session")
def cluster(new_folder):
    """Three nodes, one controller, etcd; shared by all tests that leave it as it was."""
    cluster = Cluster(new_folder("cluster"))
    cluster.up(nodes=3)
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def dev(new_folder):
    """`mayfly dev --detach` in a network namespace of its own, on the default ports."""
    dev = Dev(new_folder("dev"))
    dev.start()
    yield dev
    dev.stop()


@pytest.fixture
def package(tmp_path):
    """package("name", {"run.sh": "..."}) makes a folder; scripts become executable."""

    def make(name, files):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)
            if content[:2] in ("#!", b"#!") or content[:4] == b"\x7fELF":
                path.chmod(0o755)
        return folder

    return make


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """compiled("name.c") compiles a function of tests/e2e/functions, once."""
    out = tmp_path_factory.mktemp("bin")

    def make(source):
        binary = out / pathlib.Path(source).stem
        if not binary.exists():
            subprocess.run(
                ["gcc", "-O2", "-Wall", "-Werror", "-o", binary,
                 ROOT / "tests" / "e2e" / "functions" / source],
                check=True,
            )
        return binary

    return make


@pytest.fixture
def copy_example(tmp_path):
    def copy(name):
        return shutil.copytree(ROOT / "examples" / name, tmp_path / name)

    return copy


@pytest.fixture
def make_controller(tmp_path):
    """make_controller(key__of__config=value) is a controller with a folder of its own, not started."""
    with contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def make_one(**settings):
            folder = tmp_path / f"c{next(numbers)}"
            folder.mkdir()
            controller = Controller(folder, **settings)
            stack.callback(controller.stop)
            return controller

        yield make_one
