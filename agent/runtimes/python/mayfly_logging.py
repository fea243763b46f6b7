"""The root logger of functions, as people know it from Lambda. Imported when `logging` is.

AWS_LAMBDA_LOG_FORMAT is JSON or Text, AWS_LAMBDA_LOG_LEVEL the least level that is kept."""
import os
import sys

_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_DATE = "%Y-%m-%dT%H:%M:%S"
_LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}


def set_up(logging, current_request_id):
    import time

    class Handler(logging.Handler):
        def emit(self, record):
            try:
                sys.stdout.write(self.format(record) + "\n")
            except Exception:
                self.handleError(record)

    class RequestId(logging.Filter):
        def filter(self, record):
            record.aws_request_id = current_request_id() or ""
            return True

    class Json(logging.Formatter):
        def format(self, record):
            import json

            entry = {
                "timestamp": time.strftime(_DATE, time.gmtime(record.created)) + "Z",
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
                "requestId": record.aws_request_id,
            }
            if record.exc_info:
                kind, error, _ = record.exc_info
                entry["errorType"] = getattr(kind, "__name__", None)
                entry["errorMessage"] = str(error)
                entry["stackTrace"] = self.formatException(record.exc_info).split("\n")
            return json.dumps(entry, default=str, ensure_ascii=False)

    as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").lower() == "json"
    formatter = Json() if as_json else logging.Formatter(_FORMAT, _DATE)
    formatter.converter = time.gmtime
    handler = Handler()
    handler.setFormatter(formatter)
    handler.addFilter(RequestId())
    logging.root.addHandler(handler)
    level = _LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper())
    if level is not None:
        logging.root.setLevel(level)
