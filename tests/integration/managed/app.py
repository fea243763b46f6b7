"""What an event asks for is done."""
import os
import sys

count = 0


def context(event, context):
    return {
        "remaining": 0 <= context.get_remaining_time_in_millis() <= 2**62,
        "id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "identity": context.identity.cognito_identity_id,
        "client": context.client_context,
        "environment": os.environ["AWS_EXECUTION_ENV"].rpartition(".")[0],
        "path": sys.path[0],
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


def decimals(event, context):
    import decimal

    return [decimal.Decimal("1.5"), float("nan"), "ü\U0001f600"]


def prints(event, context):
    import logging

    print("printed")
    print("no end", end="")
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("own").info("logged %d", 7)
    return None


def lists(event, context):
    try:
        return [event["nothing"]]
    except KeyError as e:
        raise ValueError("two of them") from e


def counts(event, context):
    global count
    count += 1
    return count


def packages(event, context):
    import http.client  # of the standard library
    import yaml  # of the host's dist-packages

    return [http.client.__name__, yaml.__name__]


def deep(event, context):
    value = []
    for _ in range(100000):
        value = [value]
    return value


def loops(event, context):
    value = []
    value.append(value)
    return value


def closes(event, context):
    sys.stdout.close()
    return "closed"


ACTIONS = {
    "close": closes,
    "echo": lambda event, context: event["value"],
    "context": context,
    "decimals": decimals,
    "prints": prints,
    "raise": lambda event, context: lists(event, context),
    "set": lambda event, context: {1, 2},
    "bytes": lambda event, context: b"x",
    "loops": loops,
    "deep": deep,
    "big": lambda event, context: "x" * event["size"],
    "none": lambda event, context: None,
    "surrogate": lambda event, context: "\ud800",
    "sys.exit": lambda event, context: sys.exit(5),
    "exit": lambda event, context: exit(),
    "os._exit": lambda event, context: os._exit(6),
    "oom": lambda event, context: bytearray(500 << 20),
    "count": counts,
    "packages": packages,
}


def handler(event, context):
    return ACTIONS[event["do"]](event, context)
