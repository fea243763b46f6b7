"""Fixtures of the end-to-end tests: installed programs, real etcd, real network namespaces.

MAYFLY_PREFIX names where the programs are installed (tests/run sets it).
"""

import contextlib
import itertools
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import Cluster, Dev, PREFIX, ROOT  # noqa: E402
from rest import Controller  # noqa: E402


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests need root: sandboxes and network namespaces", 1)
    if not (PREFIX / "bin" / "mayfly").exists():
        pytest.exit(f"no mayfly in {PREFIX}/bin: run tests/run --only e2e", 1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three nodes, one controller, etcd; shared by all tests that leave it as it was."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.up(nodes=3)
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def dev(tmp_path_factory):
    """`mayfly dev --detach` in a network namespace of its own, on the default ports."""
    dev = Dev(tmp_path_factory.mktemp("dev"))
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
