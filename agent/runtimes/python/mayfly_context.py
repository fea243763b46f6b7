"""The second argument of a handler."""
import os
import time

import mayfly_json


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, given):
        self.cognito_identity_id = given.get("cognitoIdentityId")
        self.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")


class Client:
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code",
                 "app_package_name")

    def __init__(self, given):
        for name in self.__slots__:
            setattr(self, name, given.get(name))


class ClientContext:
    __slots__ = ("custom", "env", "client")

    def __init__(self, given):
        client = given.get("client")
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = Client(client) if isinstance(client, dict) else None


def _object(text):
    try:
        value = mayfly_json.loads(text) if text else None
    except ValueError:
        value = None
    return value if isinstance(value, dict) else None


class LambdaContext:
    def __init__(self, headers):
        env = os.environ.get
        client_context = _object(headers.get("lambda-runtime-client-context"))
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.client_context = ClientContext(client_context) if client_context else None
        self.identity = CognitoIdentity(
            _object(headers.get("lambda-runtime-cognito-identity")) or {})
        self._epoch_deadline_time_in_ms = int(headers.get("lambda-runtime-deadline-ms") or 0)

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        print(message, end="", flush=True)

    def __repr__(self):
        return ("LambdaContext([" + ",".join(f"{name}={value}"
                                             for name, value in vars(self).items()
                                             if not name.startswith("_")) + "])")
