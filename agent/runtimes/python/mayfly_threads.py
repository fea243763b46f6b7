"""Several calls at once in one instance. Imported when its concurrency is over 1.

One thread waits for an event. Who has got one sees to it that another waits, before it calls
the handler: there are as many threads as the calls at once ever needed, and one."""
import sys
import threading

import mayfly_api


class Current(threading.local):
    request_id = None


class _Crew:
    def __init__(self, address, limit, next_event, serve, handler, current, leave):
        self._address = address
        self._limit = limit
        self._next = next_event
        self._serve = serve
        self._handler = handler
        self._current = current
        self._leave = leave
        self._lock = threading.Lock()
        self._waiting = 0
        self._threads = 0

    def _see_to_one_more(self):
        with self._lock:
            self._waiting -= 1
            if self._waiting > 0 or self._threads >= self._limit:
                return
            self._waiting += 1
            self._threads += 1
        try:
            api = mayfly_api.Connection(self._address)
            threading.Thread(target=self.work, args=(api,), daemon=True).start()
        except RuntimeError:  # no more threads are to be had: those that are will do
            with self._lock:
                self._waiting -= 1
                self._threads -= 1

    def begin(self, api):
        self._waiting = self._threads = 1
        self.work(api)

    def work(self, api):
        try:
            while True:
                headers, body = self._next(api)
                self._see_to_one_more()
                self._current.request_id = headers.get("lambda-runtime-aws-request-id")
                self._serve(api, self._handler, headers, body)
                with self._lock:
                    self._waiting += 1
        except (OSError, mayfly_api.Gone) as e:
            sys.stderr.write(f"mayfly: the Runtime API is gone: {e}\n")
            self._leave(1)


def serve(api, address, limit, next_event, serve_one, handler, current, leave):
    _Crew(address, limit, next_event, serve_one, handler, current, leave).begin(api)
