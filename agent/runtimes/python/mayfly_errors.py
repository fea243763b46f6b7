"""What is told about a failure. Imported when there is one."""
import os
import traceback

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Fault(Exception):
    """A failure that is about the function rather than in it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.trace = trace


def _frames(error):
    """The function's own: neither the runtime's nor those of the import system."""
    return [f for f in traceback.extract_tb(error.__traceback__)
            if not f.filename.startswith((_HERE, "<frozen importlib"))]


def document(error, request_id=None):
    if isinstance(error, Fault):
        cause = error.__cause__
        trace = error.trace
        if trace is None:
            trace = traceback.format_list(_frames(cause)) if cause is not None else []
        kind, message = error.kind, str(error)
    else:
        kind, message = type(error).__name__, str(error)
        trace = traceback.format_list(_frames(error))
    result = {"errorMessage": message, "errorType": kind}
    if request_id is not None:
        result["requestId"] = request_id
    result["stackTrace"] = trace
    return result


def text(doc):
    """For the log."""
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").lower() == "json":
        import time

        import mayfly_json

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return mayfly_json.dumps({"timestamp": now, "level": "ERROR", **doc}).decode() + "\n"
    lines = [f"[ERROR] {doc['errorType']}: {doc['errorMessage']}"]
    if doc["stackTrace"]:
        lines.append("Traceback (most recent call last):")
        lines += [frame.rstrip("\n") for frame in doc["stackTrace"]]
    return "\n".join(lines) + "\n"


def of_import(module, error):
    """Why the handler's module could not be had."""
    if isinstance(error, SyntaxError):
        line = (error.text or "").rstrip("\n")
        return Fault("Runtime.UserCodeSyntaxError",
                     f"Syntax error in module '{module}': {error}",
                     [f'  File "{error.filename}" Line {error.lineno}\n    {line}\n'])
    fault = Fault("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}")
    fault.__cause__ = error
    return fault
