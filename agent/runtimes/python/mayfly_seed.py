"""Waits for the function, with what takes long done: the interpreter is up, and what most
functions import is there. Nothing here knows which function it will be.

On _LINK it says "r" when it is up and "d" when it does no more than wait. The function may come at
any time, also before that: what is not imported by then is left."""
import os
import select
import sys

_LINK = 3
# Of the standard library: what handlers import most, and takes longest.
_USUAL = ("json", "re", "datetime", "decimal", "base64", "hashlib", "logging", "time", "math",
          "collections", "functools", "urllib.parse", "uuid", "random", "traceback", "threading",
          "socket", "typing", "enum", "dataclasses", "tempfile", "subprocess")


def _say(word):
    try:
        os.write(_LINK, word)
    except OSError:
        pass  # the function has come, and nobody listens any more


def _has_come():
    """Whether the function has, or nobody will come any more."""
    return bool(select.select([_LINK], [], [], 0)[0])


def _load():
    before = set(sys.modules)
    for name in _USUAL:
        if _has_come():
            break
        try:
            __import__(name)
        except Exception:
            pass  # the base has not all of Python: whoever needs it is told
    return set(sys.modules) - before


def _read(n):
    data = b""
    while len(data) < n:
        more = os.read(_LINK, n - len(data))
        if not more:
            os._exit(0)  # there will be no function
        data += more
    return data


def _take_environment():
    length = int.from_bytes(_read(4), sys.byteorder)
    os.environ.clear()
    for entry in _read(length).split(b"\0")[:-1]:
        name, _, value = entry.partition(b"=")
        os.environb[name] = value


def _forget(loaded, folders):
    """A module of the function's may have the name of one that is here: then none of these is."""
    own = set()
    for folder in folders:
        try:
            own.update(entry.partition(".")[0] for entry in os.listdir(folder))
        except OSError:
            pass
    if any(name.partition(".")[0] in own for name in loaded):
        for name in loaded:
            sys.modules.pop(name, None)


def wait(folders):
    _say(b"r")
    loaded = _load()
    _say(b"d")
    _take_environment()
    os.close(_LINK)
    os.chdir(folders[0])
    _forget(loaded, folders)
    if "random" in sys.modules:
        sys.modules["random"].seed()
