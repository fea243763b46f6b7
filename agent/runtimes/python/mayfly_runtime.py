"""The runtime `python`: asks for events, calls the handler, hands in what it returns.

It speaks Lambda's Runtime API (docs/runtimes.md). Python is started without `site`, and as
little as possible is imported before the function: what only some need (tracebacks, logging,
threads) is imported when they do."""
import builtins
import os
import sys

import mayfly_api
import mayfly_context
import mayfly_json

_PACKAGE = "/var/task"
_LAYERS = "/opt/python"


# --- what `site` would have done, and Lambda's places ---------------------------------------

def _set_paths():
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    runtime = sys.path[0]
    python = sys.path[1:]
    folders = [_LAYERS, f"{_LAYERS}/lib/{version}/site-packages"]
    for prefix in dict.fromkeys((f"{sys.prefix}/local", sys.prefix)):
        folders += [f"{prefix}/lib/{version}/dist-packages",
                    f"{prefix}/lib/python{sys.version_info.major}/dist-packages",
                    f"{prefix}/lib/{version}/site-packages"]
    there = [folder for folder in folders if os.path.isdir(folder)]
    layers = [folder for folder in there if folder.startswith(_LAYERS)]
    others = [folder for folder in there if folder not in layers]
    sys.path[:] = [_PACKAGE, *layers, *python, *others, runtime]


def _set_builtins():
    from _sitebuiltins import Quitter

    builtins.quit = Quitter("quit", "Ctrl-D")
    builtins.exit = Quitter("exit", "Ctrl-D")


def _set_environment():
    os.environ.setdefault("AWS_EXECUTION_ENV", "AWS_Lambda_python%d.%d" % sys.version_info[:2])
    if "PYTHONPYCACHEPREFIX" not in os.environ:
        sys.dont_write_bytecode = True  # the package cannot be written to


# --- logging -----------------------------------------------------------------------------------

class _Current:
    """Whose call this is: of the process, or of a thread when there are many at once."""

    def __init__(self):
        self.request_id = None


_current = _Current()


class _LoggingHook:
    """Sets the root logger up as soon as the function imports `logging`, and not before."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                execute = spec.loader.exec_module

                def and_set_up(module):
                    execute(module)
                    import mayfly_logging

                    mayfly_logging.set_up(module, lambda: _current.request_id)

                spec.loader.exec_module = and_set_up
                return spec
        return None


# --- the handler ---------------------------------------------------------------------------------

def _load(name):
    path, dot, function = name.rpartition(".")
    module = path.replace("/", ".")
    if not dot or not module or not function:
        raise _fault("Runtime.MalformedHandlerName",
                     f"Bad handler '{name}': give module.function")
    if module.partition(".")[0] in sys.builtin_module_names:
        raise _fault("Runtime.BuiltInModuleConflict",
                     f"Cannot use built-in module {module} as a handler module")
    try:
        __import__(module)
    except (ImportError, SyntaxError) as e:
        import mayfly_errors

        raise mayfly_errors.of_import(path, e) from e
    handler = getattr(sys.modules[module], function, None)
    if handler is None:
        raise _fault("Runtime.HandlerNotFound",
                     f"Handler '{function}' missing on module '{path}'")
    return handler


def _fault(kind, message, cause=None):
    import mayfly_errors

    fault = mayfly_errors.Fault(kind, message)
    fault.__cause__ = cause
    return fault


def _put(text=""):
    """To the log; the function may have closed or replaced what it goes through."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except Exception:
        pass


def _leave(status):
    """At once, whatever threads the function has: SystemExit would wait for them."""
    atexit = sys.modules.get("atexit")
    try:
        if atexit is not None:
            atexit._run_exitfuncs()
        _put()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _exit_status(error):
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


# --- calls ---------------------------------------------------------------------------------------

def _report(api, path, error, request_id):
    import mayfly_errors

    doc = mayfly_errors.document(error, request_id)
    _put(mayfly_errors.text(doc))
    kind = doc["errorType"].encode("ascii", "replace").decode()
    api.request("POST", path, "Content-Type: application/vnd.aws.lambda.error+json\r\n"
                f"Lambda-Runtime-Function-Error-Type: {kind}\r\n", mayfly_json.dumps(doc))


def _event(body):
    try:
        return mayfly_json.loads(body.decode())
    except ValueError as e:
        raise _fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {e}", e)


def _result(value):
    try:
        return mayfly_json.dumps(value)
    except Exception as e:
        raise _fault("Runtime.MarshalError", f"Unable to marshal response: {e}", e)


def _serve(api, handler, headers, body):
    request_id = headers.get("lambda-runtime-aws-request-id")
    to = f"invocation/{request_id}/"
    try:
        context = mayfly_context.LambdaContext(headers)
        result = _result(handler(_event(body), context))
    except SystemExit as e:
        _leave(_exit_status(e))
    except BaseException as e:
        _report(api, to + "error", e, request_id)
    else:
        _put()
        api.request("POST", to + "response", "Content-Type: application/json\r\n", result)


def _next(api):
    status, headers, body = api.request("GET", "invocation/next")
    if status != 200:
        raise mayfly_api.Gone(f"the platform answered {status}: {body[:200]!r}")
    return headers, body


def _forever(api, handler):
    trace = None
    while True:
        headers, body = _next(api)
        _current.request_id = headers.get("lambda-runtime-aws-request-id")
        given = headers.get("lambda-runtime-trace-id")
        if given != trace:
            trace = given
            if trace is None:
                os.environ.pop("_X_AMZN_TRACE_ID", None)
            else:
                os.environ["_X_AMZN_TRACE_ID"] = trace
        _serve(api, handler, headers, body)


def _main(address, handler_name, concurrency):
    api = mayfly_api.Connection(address)
    sys.meta_path.insert(0, _LoggingHook())
    try:
        handler = _load(handler_name)
    except SystemExit as e:
        _leave(_exit_status(e))
    except BaseException as e:
        _report(api, "init/error", e, None)
        _leave(1)
    if concurrency > 1:
        global _current
        import mayfly_threads

        _current = mayfly_threads.Current()
        mayfly_threads.serve(api, address, concurrency, _next, _serve, handler, _current, _leave)
    else:
        _forever(api, handler)


def _wait_for_function():
    import mayfly_seed

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    mayfly_seed.wait((_PACKAGE, _LAYERS, f"{_LAYERS}/lib/{version}/site-packages"))
    logging = sys.modules.get("logging")
    if logging is not None:
        import mayfly_logging

        mayfly_logging.set_up(logging, lambda: _current.request_id)


def main():
    if sys.argv[1:] == ["--seed"]:
        del sys.argv[1:]
        _wait_for_function()
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    _set_paths()
    _set_environment()
    _set_builtins()
    try:
        _main(os.environ["AWS_LAMBDA_RUNTIME_API"], os.environ["_HANDLER"],
              int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY") or 1))
    except (OSError, mayfly_api.Gone) as e:
        sys.stderr.write(f"mayfly: the Runtime API is gone: {e}\n")
        _leave(1)
