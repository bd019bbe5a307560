# SPDX-License-Identifier: Apache-2.0
"""Starts the HTTP/2 and gRPC peers: those that build.sh built, and Debian's curl, nghttp2 and Apache.

A client is a program that takes one question a line ("METHOD PATH TOKEN", or for gRPC "KIND CODE
TOKEN") and prints one answer a line: the status, and the port that the server saw it come from. "new"
makes it go on over a new connection. Servers answer by path, like rig.Nginx."""
import os
import re
import select
import shutil
import subprocess
import tempfile

import rig

HERE = os.path.dirname(os.path.realpath(__file__))
CACHE = os.path.join(os.environ.get("TOKENTRAIL_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tokentrail"), "peers")
GO = os.path.join(CACHE, "go", "peer")
RUST = os.path.join(CACHE, "rust", "peer")
PYTHON = os.path.join(CACHE, "python", "bin", "python")
BUN = os.path.join(CACHE, "bun", "node_modules", "@oven", "bun-linux-x64", "bin", "bun")
BORINGSSL_PYTHON = os.path.join(CACHE, "boringssl", "bin", "python")
NETTY, CONSCRYPT = os.path.join(CACHE, "netty"), os.path.join(CACHE, "conscrypt")
JAVA = shutil.which("java") or "java"
STATUS = {"/denied": 403, "/gone": 404, "/empty": 204}
APACHE_MODULES = "/usr/lib/apache2/modules"

# Client name -> (program, further words, tls.library of its TLS or None if that is not seen yet).
CLIENTS = {
    "go": (GO, ["http-client"], "go"),
    "xnet": (GO, ["xnet-client"], "go"),
    "reqwest": (RUST, [], "rustls"),
    "java": (JAVA, ["-XX:TieredStopAtLevel=1", "-cp", os.path.join(CACHE, "java"), "Peer"], None),
    "node": ("node", [os.path.join(HERE, "node", "client.mjs")], "openssl"),
    "httpx": (PYTHON, [os.path.join(HERE, "python", "http_client.py")], "openssl"),
    "netty-1.1": (JAVA, ["-cp", f"{NETTY}:{NETTY}/jars/*", "Netty", "1.1"], "boringssl"),
    "netty-2": (JAVA, ["-cp", f"{NETTY}:{NETTY}/jars/*", "Netty", "2"], "boringssl"),
    "conscrypt": (JAVA, ["-cp", f"{CONSCRYPT}:{CONSCRYPT}/jars/*", "Client"], "boringssl"),
    "bun": (BUN, [os.path.join(HERE, "bun", "client.mjs")], "boringssl"),
    "curl_cffi-1.1": (BORINGSSL_PYTHON, [os.path.join(HERE, "boringssl", "cffi_client.py"), "1.1"], "boringssl"),
    "curl_cffi-2": (BORINGSSL_PYTHON, [os.path.join(HERE, "boringssl", "cffi_client.py"), "2"], "boringssl"),
    "grpc-go": (GO, ["grpc-client"], "go"),
    "grpcio": (PYTHON, [os.path.join(HERE, "python", "grpc_client.py")], "boringssl"),
}
SERVERS = {
    "go": (GO, ["http-server"], "go"),
    "xnet": (GO, ["xnet-server"], "go"),
    "node": ("node", [os.path.join(HERE, "node", "server.mjs")], "openssl"),
    "bun": (BUN, [os.path.join(HERE, "bun", "server.mjs")], "boringssl"),
    "grpc-go": (GO, ["grpc-server"], "go"),
    "grpcio": (PYTHON, [os.path.join(HERE, "python", "grpc_server.py")], "boringssl"),
}


def program_of(name):
    """The path of an installed or built program; the test is skipped where it is missing."""
    path = shutil.which(name)
    if not path:
        raise rig.Skip(f"no {os.path.basename(name)} ({name}) here; tests/lib/fetch.sh says why")
    return path


def python_path():
    """Where the peers' Python packages are, for tests that use them in their own process."""
    out = rig.run([program_of(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])[1]
    return out.strip()


class Client:
    """One of CLIENTS, running."""

    def __init__(self, name, base, ca=None):
        program, words, self.library = CLIENTS[name]
        self.exe = os.path.realpath(program_of(program))
        self.process = rig.spawn([program, *words, base, *([ca] if ca else [])], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pids = {self.process.pid}

    def say(self, line, seconds=60):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        rig.need(select.select([self.process.stdout], [], [], seconds)[0], f"no answer to {line.split()[:2]}")
        answer = self.process.stdout.readline().strip()
        rig.need(answer, f"the client ended with {self.process.poll()} at {line.split()[:2]}")
        return answer

    def ask(self, *words):
        """(status, port the server saw or None if the answer has no body)"""
        status, _, port = self.say(" ".join(words)).partition(" ")
        return int(status), int(port) if port.isdigit() else None

    def renew(self):
        rig.need_equal(self.say("new"), "new", "answer to new")

    def ask_all(self, questions):
        answers = [self.ask(*q) for q in questions]
        self.stop()
        # An answer without a body came over the connection that the others came over.
        port = next((p for _, p in answers if p), None)
        return [(status, p or port) for status, p in answers]

    def stop(self):
        self.process.stdin.close()
        rig.need_equal(self.process.wait(20), 0, "status of the client")


class Curl:
    """curl in place of a Client. Over TLS all questions are one command, so go over one connection; over
    plain connections each is its own: Debian 12's curl can't use a connection twice after prior knowledge."""

    def __init__(self, base, ca=None, upgrade=False):
        self.exe, self.library = os.path.realpath(program_of("curl")), "openssl"
        self.base, self.ca = base, ca
        self.how = "--http2" if ca or upgrade else "--http2-prior-knowledge"
        self.pids = set()

    def words(self, method, path, token):
        return ["-sS", self.how, "-X", method, "-H", f"Authorization: Bearer {token}", "-o", "/dev/null",
                "-w", "%{http_version} %{http_code} %{local_port}\\n", *(["--cacert", self.ca] if self.ca else []),
                self.base + path]

    def run(self, *questions):
        argv = ["curl", *self.words(*questions[0])]
        for q in questions[1:]:
            argv += ["--next", *self.words(*q)]
        p = rig.spawn(argv, stdout=subprocess.PIPE, text=True)
        self.pids.add(p.pid)
        answers = [line.split() for line in p.communicate(timeout=60)[0].splitlines()]
        rig.need_equal(p.returncode, 0, "status of curl")
        rig.need_equal({v for v, _, _ in answers}, {"2"}, "HTTP version of curl's answers")
        return [(int(code), int(port)) for _, code, port in answers]

    def ask_all(self, questions):
        if self.ca:
            return self.run(*questions)
        return [answer for q in questions for answer in self.run(q)]


class Nghttp:
    """nghttp in place of a Client: GET only, and one token for all questions."""

    def __init__(self, base, ca=None, upgrade=False):
        self.exe, self.library = os.path.realpath(program_of("nghttp")), "openssl"
        self.base, self.options = base, ["-nv", "--no-dep", *(["-u"] if upgrade else [])]
        self.pids = set()

    def ask_all(self, questions):
        rig.need_equal({(m, t) for m, _, t in questions}, {("GET", questions[0][2])}, "methods and tokens")
        p = rig.spawn(["nghttp", *self.options, "-H", f"authorization: Bearer {questions[0][2]}",
                       *(self.base + path for _, path, _ in questions)], stdout=subprocess.PIPE, text=True)
        self.pids.add(p.pid)
        out = p.communicate(timeout=60)[0]
        rig.need_equal(p.returncode, 0, "status of nghttp")
        by_stream = sorted((int(s), int(code)) for s, code in
                           re.findall(r"recv \(stream_id=(\d+)\) :status: (\d+)", re.sub(r"\x1b\[[0-9;]*m", "", out)))
        return [(code, None) for _, code in by_stream]


def client(name, base, ca=None):
    kinds = {"curl": Curl, "nghttp": Nghttp}
    kind, _, upgrade = name.partition("-")
    if kind in kinds:
        return kinds[kind](base, ca, upgrade == "upgrade")
    return Client(name, base, ca)


class Server:
    """One of SERVERS, running on 127.0.0.1."""
    statuses = {200, 204, 403, 404}

    def __init__(self, name, authority=None):
        program, words, self.library = SERVERS[name]
        self.exe = os.path.realpath(program_of(program))
        self.port = rig.free_port()
        self.process = rig.spawn([program, *words, str(self.port),
                                  *([authority.cert, authority.key] if authority else [])])
        rig.wait_until(lambda: rig.listening(self.port), 30, f"{name} listens")

    @property
    def pids(self):
        return {self.process.pid, *rig.children(self.process.pid)}

    def stop(self):
        rig.end(self.process)


def static_files(directory):
    """What servers of files give: the paths of http2.py that are answered with 200."""
    root = tempfile.mkdtemp(prefix="files-", dir=directory)
    os.chmod(root, 0o755)
    os.mkdir(os.path.join(root, "items"))
    for name in "abc":
        with open(os.path.join(root, "items", name), "w", encoding="ascii") as f:
            f.write(f"{name}\n")
    return root


class Nghttpd(Server):
    """A server of files only."""
    statuses = {200, 404}

    def __init__(self, directory, authority=None):  # pylint: disable=super-init-not-called
        self.exe, self.library = os.path.realpath(program_of("nghttpd")), "openssl"
        self.port = rig.free_port()
        self.process = rig.spawn(["nghttpd", "-a", "127.0.0.1", "-d", static_files(directory), str(self.port),
                                  *([authority.key, authority.cert] if authority else ["--no-tls"])])
        rig.wait_until(lambda: rig.listening(self.port), 10, "nghttpd listens")


class Nghttpx(Server):
    """A proxy in front of another server; it knows the upgrade from HTTP/1."""

    def __init__(self, directory, behind, authority=None):  # pylint: disable=super-init-not-called
        self.exe, self.library = os.path.realpath(program_of("nghttpx")), "openssl"
        self.port = rig.free_port()
        conf = os.path.join(directory, "nghttpx.conf")
        with open(conf, "w", encoding="ascii"):
            pass
        front = ["-f", f"127.0.0.1,{self.port}"] if authority else ["-f", f"127.0.0.1,{self.port};no-tls"]
        self.process = rig.spawn(["nghttpx", "--conf", conf, *front, "-b", f"127.0.0.1,{behind};;proto=h2",
                                  "--errorlog-file", os.path.join(directory, "nghttpx.log"), "--workers", "1",
                                  *([authority.key, authority.cert] if authority else [])])
        rig.wait_until(lambda: rig.listening(self.port), 10, "nghttpx listens")


APACHE_CONF = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {dir}/pid
ErrorLog {dir}/error.log
DefaultRuntimeDir {dir}
User www-data
Group www-data
{modules}
Protocols h2c http/1.1
H2Upgrade on
DocumentRoot {files}
KeepAliveTimeout 60
MaxKeepAliveRequests 0
RedirectMatch 403 ^/denied
RedirectMatch 404 ^/gone
<Directory {files}>
	Require all granted
</Directory>
"""


class Apache(Server):
    """Debian's Apache with mod_http2, plain; it knows the upgrade from HTTP/1."""
    statuses = {200, 403, 404}

    def __init__(self, directory):  # pylint: disable=super-init-not-called
        self.exe, self.library = os.path.realpath(program_of("apache2")), "openssl"
        self.port = rig.free_port()
        here = tempfile.mkdtemp(prefix="apache-", dir=directory)
        conf = os.path.join(here, "apache.conf")
        modules = "\n".join(f"LoadModule {m}_module {APACHE_MODULES}/mod_{m}.so"
                            for m in ("mpm_event", "http2", "authz_core", "alias"))
        with open(conf, "w", encoding="ascii") as f:
            f.write(APACHE_CONF.format(port=self.port, dir=here, modules=modules, files=static_files(directory)))
        self.process = rig.spawn(["apache2", "-d", here, "-f", conf, "-X"])
        rig.wait_until(lambda: rig.listening(self.port), 10, "apache2 listens")
