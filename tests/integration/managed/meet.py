import threading

barrier = threading.Barrier(3, timeout=60)


def handler(event, context):
    if event == "leave":
        raise SystemExit(9)
    barrier.wait()
    print("met")
    return context.aws_request_id
