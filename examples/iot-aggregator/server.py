#!/usr/bin/env python3
"""Sensor readings in, statistics a sensor out.

POST   [{"sensor": "t1", "value": 21.5, "ts": 1700000000.0}, …]   adds readings; the answer has
       the sensors that were named. A batch with one bad reading is refused whole.
GET    all sensors        DELETE   forgets all
"""

import http.server
import json
import math
import os
import threading
import time

SENSORS_MAX = 10_000
READINGS_MAX = 100_000  # in one request
NAME_MAX = 200


class Statistics:
    """Of one sensor; constant space however many readings come."""

    def __init__(self):
        self.count = 0
        self.min = math.inf
        self.max = -math.inf
        self.mean = 0.0
        self.last = None
        self.last_ts = -math.inf

    def add(self, value, ts):
        self.count += 1
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        # Parts, not the difference: that of two very large values would be infinite.
        self.mean += value / self.count - self.mean / self.count
        if ts >= self.last_ts:  # a late reading does not replace a newer one
            self.last, self.last_ts = value, ts

    def to_json(self):
        return {"count": self.count, "min": self.min, "max": self.max, "mean": self.mean,
                "last": self.last, "last_ts": self.last_ts}


class Aggregator:
    """The statistics of all sensors; for many threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._sensors = {}

    def add(self, readings):
        with self._lock:
            named = dict.fromkeys(sensor for sensor, _, _ in readings)
            new = [sensor for sensor in named if sensor not in self._sensors]
            if len(self._sensors) + len(new) > SENSORS_MAX:
                raise ValueError(f"more than {SENSORS_MAX} sensors")
            for sensor in new:
                self._sensors[sensor] = Statistics()
            for sensor, value, ts in readings:
                self._sensors[sensor].add(value, ts)
            return {sensor: self._sensors[sensor].to_json() for sensor in named}

    def all(self):
        with self._lock:
            return {sensor: s.to_json() for sensor, s in sorted(self._sensors.items())}

    def clear(self):
        with self._lock:
            self._sensors.clear()


def number(value, what):
    """A finite number; true, "1" and NaN are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{what} is not a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"{what} is not a finite number")
    return value


def parse(body, now):
    """[(sensor, value, ts)] of a request's body; ValueError says which reading is wrong."""
    try:
        readings = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise ValueError(f"the body is not JSON: {e}") from None
    if isinstance(readings, dict):
        readings = [readings]
    if not isinstance(readings, list):
        raise ValueError("the body is not a list of readings")
    if len(readings) > READINGS_MAX:
        raise ValueError(f"more than {READINGS_MAX} readings")
    out = []
    for n, reading in enumerate(readings):
        at = f"reading {n}"
        if not isinstance(reading, dict):
            raise ValueError(f"{at} is not an object")
        if unknown := reading.keys() - {"sensor", "value", "ts"}:
            raise ValueError(f"{at}: unknown key {min(unknown)!r}")
        sensor = reading.get("sensor")
        if not isinstance(sensor, str) or not 0 < len(sensor) <= NAME_MAX:
            raise ValueError(f"{at}: sensor is not a name of 1 to {NAME_MAX} characters")
        value = number(reading.get("value"), f"{at}: value")
        out.append((sensor, value, number(reading.get("ts", now), f"{at}: ts")))
    return out


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes

    def do_POST(self):
        length = self.headers.get("Content-Length")
        if length is None:
            self.close_connection = True
            return self.reply(411, {"error": "send a body with its Content-Length"})
        try:
            readings = parse(self.rfile.read(int(length)), time.time())
            self.reply(200, {"sensors": self.server.aggregator.add(readings)})
        except ValueError as e:
            self.reply(400, {"error": str(e)})

    def do_GET(self):
        self.reply(200, {"sensors": self.server.aggregator.all()})

    def do_DELETE(self):
        self.server.aggregator.clear()
        self.reply(200, {"sensors": {}})

    def reply(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.aggregator = Aggregator()


if __name__ == "__main__":
    Server(int(os.environ["PORT"])).serve_forever()
