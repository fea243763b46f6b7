"""What is measured: mayfly as a cluster of one host, and its peers, in a network of their own."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from . import machine

ROOT = pathlib.Path(__file__).resolve().parents[3]
GATEWAY, REST, HUB, METRICS = 8080, 8090, 8091, 8092
NGINX, UPSTREAM, FASTCGI, COPY = 7000, 7100, 7200, 7500
RELAYS = {"http": (7300, 7310), "lambda": (7400, 7410)}  # callers' port, functions' first or only
AGENT_UID = 1899000001


class Failed(Exception):
    pass


def run(args, timeout=180, **kw):
    """Its output. A command that takes too long is ended with all that it has started."""
    process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, **kw)
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException as e:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(e, subprocess.TimeoutExpired):
            raise Failed(f"{' '.join(map(str, args))}: not within {timeout} s") from None
        raise
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, args))}: exit {process.returncode}\n{out}{err}")
    return out


def wait_for(what, predicate, timeout=60, pause=0.02):
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {timeout} s for {what}")
        time.sleep(pause)
    return value


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answers(port, path):
    try:
        return ask(port, "GET", path)[0] == 200
    except OSError:
        return False


def listens(port):
    return any(line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
               for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])


class Mayfly:
    """A controller and an agent, with their state in a folder. `via` runs the agent under
    something else."""

    def __init__(self, prefix, folder, memory="512Gi", via=(), freeze="1s"):
        self.bin, self.folder = prefix / "bin", folder
        self.cgroup = f"mayfly-bench-{os.getpid()}-{folder.name}"
        self.env = dict(os.environ, MAYFLY_URL=f"http://127.0.0.1:{REST}", NO_COLOR="1",
                        MAYFLY_GATEWAY=f"http://127.0.0.1:{GATEWAY}",
                        PATH=f"{self.bin}:{os.environ['PATH']}")
        self.daemons = []
        self._write_config(memory, freeze)
        try:
            self._start("controller", [self.bin / "mayfly-controller"], REST)
            self._start("agent", [*via, self.bin / "mayfly-agent"], METRICS)
        except BaseException:
            self.stop()
            raise
        self.controller, self.agent = (d.pid for d in self.daemons)
        wait_for("the agent at the controller", lambda: b'"ready"' in ask(REST, "GET", "/v1/nodes")[1])

    def _write_config(self, memory, freeze):
        (self.folder / "token").write_text("bench-bench-bench-bench-bench-bench\n")
        (self.folder / "token").chmod(0o600)
        (self.folder / "controller.yaml").write_text(f"""\
name: bench
rest: {{host: 127.0.0.1, port: {REST}}}
hub: {{host: 127.0.0.1, port: {HUB}}}
token_file: {self.folder}/token
advertise_url: http://127.0.0.1:{REST}
state_dir: {self.folder}/controller
settle: 100ms
store: {{engine: sqlite}}
""")
        (self.folder / "agent.yaml").write_text(f"""\
node: bench
controllers: ["tcp://127.0.0.1:{HUB}"]
token_file: {self.folder}/token
gateway: {{host: 127.0.0.1, port: {GATEWAY}, advertise: "127.0.0.1:{GATEWAY}"}}
metrics: {{host: 127.0.0.1, port: {METRICS}}}
state_dir: {self.folder}/agent
user: "{AGENT_UID}"
uid_base: 1899100000
cgroup: {self.cgroup}
memory: {memory}
cpu: 4096000
freeze_after: {freeze}
stop_notice: 0s
stop_grace: 1s
""")

    def _start(self, name, command, port):
        with open(self.folder / f"{name}.log", "w") as log:
            daemon = subprocess.Popen([*command, "--config", self.folder / f"{name}.yaml"],
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        self.daemons.append(daemon)

        def ready():
            if daemon.poll() is not None:
                raise Failed(f"{name}: {(self.folder / f'{name}.log').read_text()[-2000:]}")
            return answers(port, "/readyz")

        wait_for(f"the {name}", ready)

    def deploy(self, path, name, *options):
        run([self.bin / "mayfly", "deploy", path, "--name", name, "--wait", "--quiet", *options],
            env=self.env)

    def deploy_many(self, binary, names, spec):
        """By REST, one package for all; returns functions a second, until the last one serves."""
        data = pathlib.Path(binary).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        status, text = ask(REST, "PUT", f"/v1/packages/{digest}?format=file&file_name=bootstrap", data)
        if status not in (200, 201):
            raise Failed(f"package: {status} {text}")
        connection = http.client.HTTPConnection("127.0.0.1", REST, timeout=120)
        began = time.monotonic()
        for i, name in enumerate(names):
            if i % 200 == 0 and i > 0:  # a node that is asked for more is too late with the last
                wait_for(f"{names[i - 1]} to serve", lambda: self._serves(connection, names[i - 1]), 300)
            connection.request("PUT", f"/v1/namespaces/default/functions/{name}", json.dumps(
                {"spec": spec, "package": {"digest": digest, "format": "file",
                                           "file_name": "bootstrap"}}))
            response = connection.getresponse()
            text = response.read()
            if response.status not in (200, 201):
                raise Failed(f"deploy {name}: {response.status} {text}")
        for name in names[-200:]:
            wait_for(f"{name} to serve", lambda: self._serves(connection, name), 300)
        return len(names) / (time.monotonic() - began)

    @staticmethod
    def _serves(connection, name):
        connection.request("GET", f"/v1/namespaces/default/functions/{name}")
        state = json.loads(connection.getresponse().read())
        if state["state"] == "failed":
            raise Failed(f"{name}: {state}")
        return state["state"] == "ready"

    def remove(self, name):
        ask(REST, "DELETE", f"/v1/namespaces/default/functions/{name}")

    def function(self, name):
        return json.loads(ask(REST, "GET", f"/v1/namespaces/default/functions/{name}")[1])

    def gateways(self):
        """The processes on a call's path: the agent; under a tool, what it runs in."""
        return [self.agent]

    def warden(self):
        return next(pid for pid, parent, name, _ in machine.processes()
                    if parent == self.agent and name.startswith("mayfly-warden"))

    def inits(self):
        warden = self.warden()
        return [pid for pid, parent, _, _ in machine.processes() if parent == warden]

    def instances(self):
        """The functions' own processes."""
        inits = set(self.inits())
        return [pid for pid, parent, _, _ in machine.processes() if parent in inits]

    def stop(self):
        for daemon in reversed(self.daemons):
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                try:
                    daemon.wait(60)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        self.daemons = []


class World:
    def __init__(self, prefix, helpers, options):
        self.prefix, self.helpers, self.options = prefix, helpers, options
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-bench-"))
        self.folder.chmod(0o755)
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._mayfly = None
        self._started = {}

    def close(self):
        self.stop_mayfly()
        self.stack.close()

    def helper(self, name):
        return self.helpers / f"bench_{name}"

    def new_folder(self, name):
        folder = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=self.folder))
        folder.chmod(0o755)
        return folder

    # --- mayfly ---------------------------------------------------------------------------

    @property
    def mayfly(self):
        if self._mayfly is None:
            self._mayfly = Mayfly(self.prefix, self.new_folder("mayfly"))
        return self._mayfly

    def stop_mayfly(self):
        if self._mayfly is not None:
            self._mayfly.stop()
            self._mayfly = None

    def fresh_mayfly(self, **kw):
        self.stop_mayfly()
        self._mayfly = Mayfly(self.prefix, self.new_folder("mayfly"), **kw)
        return self._mayfly

    # --- peers ----------------------------------------------------------------------------

    def _process(self, name, args, **kw):
        log = open(self.folder / f"{name}.log", "w")
        self.stack.callback(log.close)
        process = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, start_new_session=True, **kw)

        def end():  # fcgiwrap leaves its children behind: all of its session
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

        self.stack.callback(end)
        return process.pid

    def server(self):
        """The http server of the functions, as a plain process."""
        if "server" not in self._started:
            self._started["server"] = self._process(
                "server", [self.helper("server")], env=dict(os.environ, PORT=str(UPSTREAM)))
            wait_for("the server", lambda: answers(UPSTREAM, "/"))
        return self._started["server"]

    def copier(self):
        """What only copies bytes to the server and back."""
        self.server()
        if "copy" not in self._started:
            self._started["copy"] = self._process(
                "copy", [self.helper("copy"), COPY, UPSTREAM])
            wait_for("the copier", lambda: answers(COPY, "/"))
        return self._started["copy"]

    def fcgiwrap(self):
        socket = self.folder / "fcgi.sock"
        if "fcgiwrap" not in self._started:
            self._started["fcgiwrap"] = self._process(
                "fcgiwrap", ["fcgiwrap", "-c", len(machine.CPUS), "-s", f"unix:{socket}"])
            wait_for("fcgiwrap", socket.exists)
            socket.chmod(0o777)
        return socket

    def nginx(self, workers=1, via=(), port=NGINX):
        """proxy_pass to server(), and below /cgi/ the static program by fcgiwrap. Returns the
        workers' processes."""
        name = f"nginx-{workers}-{port}"
        if name in self._started:
            return self._started[name]
        self.server()
        conf = self.folder / f"{name}.conf"
        conf.write_text(f"""\
daemon off;
worker_processes {workers};
{"master_process off;" if via else ""}
user root;
pid {self.folder}/{name}.pid;
error_log {self.folder}/{name}.error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_temp_path {self.folder}/{name}-body;
  proxy_temp_path {self.folder}/{name}-proxy;
  fastcgi_temp_path {self.folder}/{name}-fastcgi;
  upstream server {{ server 127.0.0.1:{UPSTREAM}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
    }}
    location /cgi/ {{
      fastcgi_pass unix:{self.folder}/fcgi.sock;
      fastcgi_param SCRIPT_FILENAME {self.helper("hello")};
      fastcgi_param REQUEST_METHOD $request_method;
    }}
  }}
}}
""")
        master = self._process(name, [*via, "/usr/sbin/nginx", "-c", conf])
        wait_for(name, lambda: answers(port, "/"))
        found = [master] if via else wait_for(f"{name}'s workers", lambda: (
            lambda pids: pids if len(pids) == workers else None)(
                [pid for pid, parent, _, _ in machine.processes() if parent == master]))
        self._started[name] = found
        return found

    def relay(self, kind, count):
        """bench_relay with as many functions of its kind; returns its port and its process."""
        port, behind = RELAYS[kind]
        name = f"relay-{kind}"
        if name not in self._started:
            if kind == "http":
                for i in range(count):
                    self._process(f"behind-{i}", [self.helper("server")],
                                  env=dict(os.environ, PORT=str(behind + i)))
                    wait_for("a server", lambda i=i: answers(behind + i, "/"))
            self._started[name] = self._process(
                name, [self.helper("relay"), kind, port, behind, count])
            if kind == "lambda":
                wait_for("the relay", lambda: listens(behind))
                for i in range(count):
                    self._process(f"runtime-{i}", [self.helper("lambda")], env=dict(
                        os.environ, AWS_LAMBDA_RUNTIME_API=f"127.0.0.1:{behind}"))
            wait_for("the relay", lambda: listens(port))
        return port, self._started[name]

    # --- measuring ------------------------------------------------------------------------

    def load(self, port, path="/", connections=32, seconds=2.0, requests=0, body=0, warmup=0.0,
             phases=False, pause_ms=0, cpus=None, timeout=300):
        args = [self.helper("load"), "--port", port, "--path", path, "--connections", connections,
                "--seconds", seconds, "--warmup", warmup]
        args += ["--requests", requests] if requests else []
        args += ["--body", body] if body else []
        args += ["--pause", pause_ms] if pause_ms else []
        args += ["--phases"] if phases else []
        result = json.loads(run(args, timeout=timeout, preexec_fn=(
            lambda: os.sched_setaffinity(0, cpus)) if cpus else None))
        if result["failed"]:
            raise Failed(f"{result['failed']} failed requests to port {port}{path}: "
                         f"{result.get('failure')}")
        return result

    def spawn_at_once(self, at_once, seconds, command, sandbox=None):
        """So many bench_spawn side by side: what they start a second, together."""
        args = [self.helper("spawn"), 10 ** 9, "--seconds", seconds,
                *(["--sandbox", sandbox] if sandbox else []), "--", *command]
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            found = [json.loads(out) for out in pool.map(
                lambda _: run(args, timeout=seconds + 60), range(at_once))]
        return {"rate": sum(f["rate"] for f in found),
                "mean_us": sum(f["whole"]["mean_us"] for f in found) / at_once}

    def spawn(self, count, command, sandbox=None, cwd=None, hidden=None, cpus=None, pause_ms=0):
        """bench_spawn; `hidden` is not mounted for the command."""
        args = [self.helper("spawn"), count, *(["--sandbox", sandbox] if sandbox else []),
                *(["--pause", pause_ms] if pause_ms else []), "--", *command]
        if hidden:
            args = ["unshare", "-m", "sh", "-c", f'umount {hidden} 2>/dev/null; exec "$@"', "sh", *args]
        return json.loads(run(args, cwd=cwd, timeout=600, preexec_fn=(
            lambda: os.sched_setaffinity(0, cpus)) if cpus else None).splitlines()[-1])
