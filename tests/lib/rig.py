# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: results, a work directory, made-up tokens, a private CA, nginx,
and the sensor with its own state directory and key.

Only Python's standard library. Tokens are made at run time, so that none stands in the tree. Every
process that a test starts is ended by its own id when the test ends, however it ends.
"""
import atexit
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import string
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.path.join(ROOT, "build")
TOOLS = os.path.join(BUILD, "tests", "tools")
TOKENTRAIL = os.environ.get("TOKENTRAIL", os.path.join(BUILD, "tokentrail"))
BPF_MAP_TYPE_RINGBUF = 27
ALNUM = string.ascii_letters + string.digits

_results = {"ok": 0, "failed": 0, "skipped": 0}
_processes = []
_sensors = []


class Skip(Exception):
    """Raised inside a case: it can't be tried here, and this is why."""


def need(truth, why):
    """assert that survives python -O and always says something."""
    if not truth:
        raise AssertionError(why)


def need_equal(got, want, what):
    need(got == want, f"{what}: got {got!r}, want {want!r}")


@contextlib.contextmanager
def case(name):
    """One result: prints the line that tests/run.sh counts."""
    began = time.monotonic()
    try:
        yield
    except Skip as e:
        _results["skipped"] += 1
        print(f"skip {name}: {e}", flush=True)
    except Exception as e:  # pylint: disable=broad-except
        _results["failed"] += 1
        why = " ".join(str(e).split()) or type(e).__name__
        print(f"not ok {name}: {why[:600]}", flush=True)
        traceback.print_exc()
    else:
        _results["ok"] += 1
        print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)


def finish():
    """Ends the test; shows what the sensors said if something failed."""
    if _results["failed"]:
        for s in _sensors:
            print(f"--- standard error of the sensor in {s.dir}:", file=sys.stderr)
            print("\n".join(s.errors().splitlines()[-30:]), file=sys.stderr)
    cleanup()
    if not _results["ok"] and not _results["failed"] and not _results["skipped"]:
        print("not ok nothing was tried", flush=True)
        sys.exit(1)
    sys.exit(1 if _results["failed"] else 0)


def wait_until(truth, seconds, what):
    """Polls truth() until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        got = truth()
        if got:
            return got
        need(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.05)


# ---- processes ----

def spawn(argv, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    p = subprocess.Popen(argv, **kw)
    _processes.append(p)
    return p


def end(p, sig=signal.SIGTERM, seconds=10):
    """Ends a process that spawn() started and returns its exit status."""
    if p.poll() is None:
        p.send_signal(sig)
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait(5)
            raise AssertionError(f"{p.args[0]} did not end within {seconds} s of {sig!r}") from None
    if p in _processes:
        _processes.remove(p)
    return p.returncode


def cleanup():
    for p in reversed(list(_processes)):
        with contextlib.suppress(Exception):
            end(p)


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                if int(f.read().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(name))
    return sorted(found)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def run(argv, stdin="", check=True, seconds=60, **kw):
    """Runs a command to its end; text in, (status, out, err) back."""
    p = subprocess.run(argv, input=stdin, text=True, capture_output=True, timeout=seconds,
                       check=False, **kw)
    if check:
        need(p.returncode == 0, f"{argv[0]} ended with {p.returncode}: {p.stderr.strip()[-300:]}")
    return p.returncode, p.stdout, p.stderr


atexit.register(cleanup)
for _sig in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_sig, lambda *_: sys.exit(143))


# ---- places, names, tokens ----

def work_dir(name):
    d = tempfile.mkdtemp(prefix=f"tokentrail-{name}-")
    os.chmod(d, 0o755)
    atexit.register(shutil.rmtree, d, ignore_errors=True)
    return d


def free_port(count=1):
    """The first of `count` free ports in a row."""
    for _ in range(200):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for i in range(count):
                s = stack.enter_context(socket.socket())
                s.bind(("127.0.0.1", port + i if port else 0))
                port = port or s.getsockname()[1]
            return port
    raise AssertionError(f"no {count} free ports in a row")


def random_text(length):
    return "".join(secrets.choice(ALNUM) for _ in range(length))


def token(prefix="gh" + "p_", length=36):
    """A made-up credential: well formed, never valid anywhere."""
    return prefix + random_text(length)


def need_root():
    if os.geteuid() != 0:
        print("not ok privileges: this test loads kernel probes and has to run as root", flush=True)
        sys.exit(1)


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def library_of(pid):
    """(path, file offset, address, length) of the executable mapping of libssl."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ \d+ +(\S*libssl\S*)", line)
            if m:
                start, stop, offset = (int(x, 16) for x in m.groups()[:3])
                return m.group(4), offset, start, stop - start
    raise AssertionError(f"process {pid} has no libssl")


def patched(pid):
    """Places where the process's libssl differs from its file: breakpoints of uprobes."""
    path, offset, start, length = library_of(pid)
    with open(path, "rb") as f, open(f"/proc/{pid}/mem", "rb") as m:
        f.seek(offset)
        m.seek(start)
        return [offset + i for i, (a, b) in enumerate(zip(f.read(length), m.read(length))) if a != b]


def need_unprivileged(pid):
    """Own user, no group but its own, no capability of any kind and no way to one, filtered."""
    s = status_of(pid)
    need("0" not in s["Uid"].split() + s["Gid"].split(), f"ids {s['Uid']} {s['Gid']}")
    need_equal(s["Groups"].strip(), "", "groups")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        need_equal(int(s[name], 16), 0, name)
    need_equal((s["NoNewPrivs"], s["Seccomp"]), ("1", "2"), "NoNewPrivs, Seccomp")


# ---- TLS ----

class Authority:
    """A private CA and one server certificate for localhost, 127.0.0.1, ::1 and further names."""

    def __init__(self, directory, names=(), kind=("rsa:2048",)):
        self.ca = os.path.join(directory, "ca.crt")
        self.cert = os.path.join(directory, "server.crt")
        self.key = os.path.join(directory, "server.key")
        ca_key = os.path.join(directory, "ca.key")
        csr = os.path.join(directory, "server.csr")
        ext = os.path.join(directory, "ext")
        with open(ext, "w", encoding="ascii") as f:
            f.write(",".join(["subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1", *(f"DNS:{n}" for n in names)]))
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj",
             "/CN=tokentrail-test-ca", "-keyout", ca_key, "-out", self.ca])
        run(["openssl", "req", "-newkey", *kind, "-nodes", "-subj", "/CN=localhost",
             "-keyout", self.key, "-out", csr])
        run(["openssl", "x509", "-req", "-in", csr, "-CA", self.ca, "-CAkey", ca_key,
             "-CAcreateserial", "-days", "3", "-extfile", ext, "-out", self.cert])


NGINX_CONF = """
worker_processes {workers};
user root;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
	access_log off;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	keepalive_requests 100000000;
	keepalive_timeout 3600s;
	client_header_timeout 3600s;
	large_client_header_buffers 8 64k;
	default_type text/plain;
	server {{
		listen 127.0.0.1:{tls} ssl {http2} backlog=1024;
		listen 127.0.0.1:{plain} {http2} backlog=1024;
		server_name localhost;
		ssl_certificate {cert};
		ssl_certificate_key {key};
		location / {{ return 200 "{body}\\n"; }}
		location /denied {{ return 403 "{body}\\n"; }}
		location /gone {{ return 404 "{body}\\n"; }}
		location /empty {{ return 204; }}
		{more}
	}}
}}
"""


class Nginx:
    """An unchanged nginx with a TLS and a plain listener on 127.0.0.1, keep-alive without limit. With
    http2 the plain one speaks nothing but HTTP/2, and the body of an answer is the client's port. `place` is
    a netns.Namespace; its TLS listener has the usual port there."""

    def __init__(self, directory, authority, workers=1, env=None, http2=False, more="", place=None,
                 connections=4096):
        self.dir = tempfile.mkdtemp(prefix="nginx-", dir=directory)
        self.tls, self.plain = 443 if place else free_port(), free_port()
        open_port = place.listening if place else listening
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(NGINX_CONF.format(dir=self.dir, workers=workers, tls=self.tls,
                                      plain=self.plain, cert=authority.cert, key=authority.key,
                                      http2="http2" if http2 else "", more=more,
                                      body="$remote_port" if http2 else "ok", connections=connections,
                                      files=connections + 256))
        self.process = spawn([*(place.prefix if place else ()), "nginx", "-p", self.dir,
                              "-e", f"{self.dir}/error.log", "-c", conf, "-g", "daemon off;"], env=env)
        wait_until(lambda: open_port(self.tls) and open_port(self.plain), 10, "nginx listens")
        self.workers = wait_until(lambda: children(self.process.pid), 5, "nginx has workers")

    def errors(self):
        with open(f"{self.dir}/error.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self):
        end(self.process)


def listening(port, address="127.0.0.1", pid="self"):
    """By a socket of either family, in the network namespace of a process."""
    word = bytes(reversed(socket.inet_aton(address))).hex().upper()
    for table, there in (("tcp", word), ("tcp6", f"0000000000000000FFFF0000{word}")):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as f:
            if any(line.split()[1] == f"{there}:{port:04X}" and line.split()[3] == "0A" for line in f):
                return True
    return False


# ---- the sensor ----

def memory_mib(sensor):
    """What limits.memory is about: the kernel's tables but the ring, and what both processes have resident, each
    page that they share with others in part (the ring is there: both mappings of it are the same pages)."""
    kernel = 0
    for name in os.listdir(f"/proc/{sensor.monitor}/fdinfo"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{sensor.monitor}/fdinfo/{name}", encoding="ascii") as f:
                fields = dict(line.split(":", 1) for line in f.read().splitlines() if ":" in line)
            if "map_type" in fields and int(fields["map_type"]) != BPF_MAP_TYPE_RINGBUF:
                kernel += int(fields["memlock"])
    resident = 0
    for pid in (sensor.monitor, sensor.agent):
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            resident += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return kernel / (1 << 20), resident / 1024


class Sensor:
    """`tokentrail run` with JSON lines in a file, its own state directory and its own key."""

    def __init__(self, directory, *more, key=None, per_call=True, state=None, env=None,
                 ready_seconds=60, prefix=()):
        self.dir = tempfile.mkdtemp(prefix="sensor-", dir=directory)
        os.chmod(self.dir, 0o755)
        self.state = state or os.path.join(self.dir, "state")
        self.key = key or os.path.join(self.dir, "fleet.key")
        self.out_path = os.path.join(self.dir, "stdout")
        self.err_path = os.path.join(self.dir, "stderr")
        if not os.path.exists(self.key):
            new_key(self.key)
        argv = [*prefix, TOKENTRAIL, "run", "--output", "json", "--state-dir", self.state,
                "--key", self.key]
        argv += ["--per-call"] if per_call else []
        if os.environ.get("PLACEMENT"):
            argv += ["--set", "sources.placement=" + os.environ["PLACEMENT"]]
        self._read_to, self._records = 0, []
        _sensors.append(self)
        began = time.monotonic()
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = spawn([*argv, *more], stdout=out, stderr=err,
                                 env={**os.environ, **(env or {})})
        wait_until(self.is_ready, ready_seconds, "the sensor says ready")
        self.ready_after = time.monotonic() - began

    def is_ready(self):
        code = self.process.poll()
        need(code is None, f"the sensor ended with {code} before ready: {self.errors()[-400:]}")
        return any(line.strip() == "ready" or line.rstrip().endswith(": ready")
                   for line in self.errors().splitlines())

    def errors(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    @property
    def monitor(self):
        return self.process.pid

    @property
    def agent(self):
        return wait_until(lambda: children(self.process.pid), 10, "the agent runs")[0]

    def stop(self, sig=signal.SIGTERM, seconds=30):
        """Ends the sensor and returns its exit status; its records stay readable."""
        return end(self.process, sig, seconds)

    def records(self, kind="use"):
        """Whole JSON lines so far. A line that is not JSON is an error: nothing else belongs there."""
        with open(self.out_path, "rb") as f:
            f.seek(self._read_to)
            new = f.read()
        whole = new[:new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self._records += [json.loads(line) for line in whole.decode("utf-8").splitlines()]
        return [r for r in self._records if r["type"] == kind]

    def losses(self):
        """Counts of what was not reported, by reason."""
        return {r["reason"]: r["count"] for r in self.records("loss")}

    def uses(self, ids, direction=None):
        ids = {ids} if isinstance(ids, str) else set(ids)
        return [u for u in self.records() if u["token"]["id"] in ids
                and direction in (None, u["direction"])]

    def ids(self, tokens):
        return fingerprints(tokens, self.key)

    def wait_uses(self, ids, count, seconds=15):
        """Waits for uses that stand for `count` requests, then a little for any too many."""
        def enough():
            return total(self.uses(ids)) >= count
        with contextlib.suppress(AssertionError):
            wait_until(enough, seconds, "uses")
            time.sleep(0.3)
        return self.uses(ids)

    def wait_settled(self, ids, seconds=15):
        """For who can't know how many there will be: waits for the first use, then until a second brings no more."""
        had, end = [], time.monotonic() + seconds
        wait_until(lambda: self.uses(ids), seconds, "a first use")
        while len(now := self.uses(ids)) > len(had):
            need(time.monotonic() < end, f"uses still come after {seconds} s")
            had = now
            time.sleep(1)
        return had


def total(uses):
    return sum(u["count"] for u in uses)


def stored_losses(store):
    """Counts of what was not reported, by reason, as the store has them."""
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30)) as db:
        return dict(db.execute("SELECT reason, count FROM loss"))


def new_key(path):
    run([TOKENTRAIL, "key", "new", "--key", path])


def fingerprints(tokens, key):
    """What the command line calls these tokens; the list is in their order."""
    out = run([TOKENTRAIL, "fingerprint", "--key", key], stdin="".join(f"{t}\n" for t in tokens))[1]
    ids = [line.split()[0] for line in out.splitlines()]
    need_equal(len(ids), len(tokens), "ids printed by tokentrail fingerprint")
    return ids
