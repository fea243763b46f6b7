"""Events in, results out, as JSON.

Python's own parser and encoder in C are used directly: the package json around them imports
re, which takes a third of a small function's start. What the fast way does not take, or takes
with an error, the package decides: it has the words that people know."""
import sys

try:
    import _json
except ImportError:
    _json = None

_SPACE = " \t\n\r"
_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Options:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__
    memo = {}


def _scanner():
    try:
        return _json.make_scanner(_Options())
    except Exception:  # another Python's: without it, then
        return None


_scan = _scanner()


def loads(text):
    if _scan is not None:
        try:
            value, end = _scan(text, len(text) - len(text.lstrip(_SPACE)))
            if not text[end:].strip(_SPACE):
                return value
        except Exception:
            pass
    import json

    return json.loads(text)


def _default(value):
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _fast_dumps(value):
    encode = _json.make_encoder({}, _default, _json.encode_basestring, None, ": ", ", ",
                                False, False, True)
    return "".join(encode(value, 0)).encode()


def dumps(value):
    """UTF-8. A Decimal becomes a float; NaN and the infinities are written as Python does."""
    if _json is not None:
        try:
            return _fast_dumps(value)
        except Exception:
            pass
    import json

    try:
        return json.dumps(value, default=_default, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value, default=_default).encode()
