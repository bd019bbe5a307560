#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which programs does the sensor see into? Unchanged programs, each as its makers build it: one HTTPS
request with a token, asked or answered by it, with curl or nginx at the other end. What is seen has to
be right; what is not has to be in `coverage` with its reason; and each row has to come out as the table
says, for the better too. The table in README.md is compared with what was measured (`--write` puts it
there)."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Callable

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import programs  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

README = os.path.join(rig.ROOT, "README.md")
MARKS = ("<!-- matrix: made by tests/e2e/matrix.py --write -->", "<!-- end of matrix -->")
SEEN = "yes"	# else: the name of a reason in blind.def
TRIES = 8	# requests of a program whose peer may be unknown
NGINX, CURL = "/usr/sbin/nginx", "/usr/bin/curl"

REQUESTS = "import requests, sys; u, t, c = sys.argv[1:]; " \
    "assert requests.get(u, headers={'Authorization': 'Bearer ' + t}, verify=c).status_code == 200"
AIOHTTP = """
import aiohttp, asyncio, ssl, sys
async def main(url, token, ca):
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers={"Authorization": "Bearer " + token},
                               ssl=ssl.create_default_context(cafile=ca)) as answer:
            assert answer.status == 200
            await answer.read()
asyncio.run(main(*sys.argv[1:]))
"""
PYCURL = """
import pycurl, sys
c = pycurl.Curl()
c.setopt(c.URL, sys.argv[1])
c.setopt(c.HTTPHEADER, ["Authorization: Bearer " + sys.argv[2]])
c.setopt(c.CAINFO, sys.argv[3])
c.setopt(c.WRITEFUNCTION, lambda b: None)
c.perform()
assert c.getinfo(c.RESPONSE_CODE) == 200
"""
NODE_HTTPS = """
const https = require("https"), fs = require("fs"), [url, token, ca] = process.argv.slice(1);
https.get(url, {ca: fs.readFileSync(ca), headers: {authorization: "Bearer " + token}}, (a) => a.resume());
"""
FETCH = """
const [url, token] = (globalThis.Deno ? Deno.args : process.argv.slice(1));
fetch(url, {headers: {authorization: "Bearer " + token}}).then((a) => a.text());
"""
RUBY = """
require "net/http"
uri = URI(ARGV[0])
Net::HTTP.start(uri.host, uri.port, use_ssl: true, ca_file: ARGV[2]) do |http|
  http.get(uri.path, "Authorization" => "Bearer " + ARGV[1]).value
end
"""
PHP = """
$context = stream_context_create(["http" => ["header" => "Authorization: Bearer " . $argv[2]],
                                  "ssl" => ["cafile" => $argv[3]]]);
exit(file_get_contents($argv[1], false, $context) === false ? 1 : 0);
"""
PHP_CURL = """
$c = curl_init($argv[1]);
curl_setopt_array($c, [CURLOPT_HTTPHEADER => ["Authorization: Bearer " . $argv[2]], CURLOPT_CAINFO => $argv[3],
                       CURLOPT_RETURNTRANSFER => true]);
exit(curl_exec($c) === false ? 1 : 0);
"""
PERL = """
use LWP::UserAgent;
my ($url, $token, $ca) = @ARGV;
my $agent = LWP::UserAgent->new(ssl_opts => {SSL_ca_file => $ca});
exit($agent->get($url, Authorization => "Bearer $token")->is_success ? 0 : 1);
"""


# A page whose script asks what its fragment says, before it has loaded: "#PATH TOKEN".
PAGE = """<body><script>
const [path, token] = decodeURIComponent(location.hash.slice(1)).split(" "), x = new XMLHttpRequest();
x.open("GET", path, false);
x.setRequestHeader("Authorization", "Bearer " + token);
x.send();
document.body.append("status " + x.status);
</script></body>"""
CHROMIUM = "/usr/lib/chromium/chromium"


@dataclass
class Ask:
    """What one row's client or server did: a request that the sensor has to have seen, or not."""
    token: str
    path: str
    pids: set		# of the program; empty: it runs others
    exe: str
    port: int		# the server's
    direction: str	# the program's side
    status: int = 200


@dataclass
class Row:
    program: str
    library: str
    ask: Callable		# () -> [Ask]
    outcome: str = SEEN
    version: list = field(default_factory=list)		# a command that tells it
    own_io: bool = False	# moves TLS's bytes to its socket itself: the address may be unknown


# ---- clients ----

class Clients:
    """All ask the same nginx."""

    def __init__(self, nginx, authority, work):
        self.nginx, self.ca, self.work = nginx, authority.ca, work
        self.base = f"https://localhost:{nginx.tls}"
        self.count = 0
        self.behind = None	# an nginx that hands gRPC on

    def path(self):
        self.count += 1		# letters: a number would be taken for an id
        return "/items/" + "".join(chr(ord("a") + int(d)) for d in str(self.count))

    def run(self, argv, env=None, statuses=(0,)):
        exe = shutil.which(argv[0])
        if not exe:
            raise rig.Skip(f"no {argv[0]} here")
        p = rig.spawn([exe, *argv[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                      env={**os.environ, **(env or {})}, cwd=self.work)
        said, _ = p.communicate(timeout=60)
        rig.need(p.returncode in statuses, f"{argv[0]} ended with {p.returncode}: {said.strip()[-300:]}")
        return p.pid, os.path.realpath(exe), said

    def one(self, argv, path=None, status=200, exe=None, **more):
        """argv is made from the URL, the token and the CA; `exe` if the program runs another one."""
        def ask():
            token, where = rig.token(), path or self.path()
            pid, mine, _ = self.run(argv(self.base + where, token, self.ca), **more)
            end = where + "/info/refs" if "repo" in where else where
            return [Ask(token, end, set() if exe else {pid}, exe or mine, self.nginx.tls, "egress", status)]
        return ask

    def peer(self, name):
        """One of ../peers that takes questions."""
        def ask():
            if name not in peers.CLIENTS:
                raise rig.Skip(f"there is no peer {name}")
            client, token, path = peers.client(name, self.base, self.ca), rig.token(), self.path()
            rig.need_equal(client.ask_all([("GET", path, token)])[0][0], 200, "status")
            return [Ask(token, path, client.pids, client.exe, self.nginx.tls, "egress")]
        return ask

    def go(self, way):
        def ask():
            program, token, path = programs.built("go_std", way), rig.token(), self.path()
            p = rig.spawn([program, "client", "1", self.base, self.ca], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
            said, _ = p.communicate(f"GET {path} {token}\n", timeout=30)
            rig.need(said.startswith("200"), f"{program} said {said[:100]}")
            return [Ask(token, path, {p.pid}, os.path.realpath(program), self.nginx.tls, "egress")]
        return ask

    def tstclnt(self):
        db, request = os.path.join(self.work, "nssdb"), os.path.join(self.work, "request")
        if not shutil.which("tstclnt"):
            raise rig.Skip("no tstclnt here")
        if not os.path.exists(db):
            os.mkdir(db)
            rig.run(["certutil", "-N", "-d", "sql:" + db, "--empty-password"])
            rig.run(["certutil", "-A", "-d", "sql:" + db, "-n", "ca", "-t", "C,,", "-i", self.ca])

        def argv(url, token, _):
            with open(request, "w", encoding="ascii", newline="") as f:
                f.write(f"GET {url[len(self.base):]} HTTP/1.1\r\nHost: localhost:{self.nginx.tls}\r\n"
                        f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n")
            return ["tstclnt", "-h", "localhost", "-4", "-p", str(self.nginx.tls), "-d", "sql:" + db, "-A", request]
        return self.one(argv)()

    def chromium(self):
        """What moves bytes in it is a child process of its own."""
        if not os.path.exists(CHROMIUM):
            raise rig.Skip("no chromium here")
        home = os.path.join(self.work, "chromium")
        db = os.path.join(home, ".pki", "nssdb")
        if not os.path.exists(db):
            os.makedirs(db)
            rig.run(["certutil", "-N", "-d", "sql:" + db, "--empty-password"])
            rig.run(["certutil", "-A", "-d", "sql:" + db, "-n", "ca", "-t", "C,,", "-i", self.ca])
        token, path = rig.token(), self.path()
        _, _, said = self.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                               "--disable-dev-shm-usage", "--disable-background-networking",
                               "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
                               "--user-data-dir=" + home, "--dump-dom", f"{self.base}/page#{path}%20{token}"],
                              env={"HOME": home})
        rig.need("status 200" in said, f"chromium said {said.strip()[-300:]}")
        return [Ask(token, path, set(), CHROMIUM, self.nginx.tls, "egress")]

    def grpc(self, authority):
        """Calls through an nginx, which hands them on."""
        if not self.behind:
            server = peers.Server("grpcio")
            self.behind = rig.Nginx(self.work, authority, http2=True, more=f"""
		location /tokentrail.Peer/ {{ grpc_pass grpc://localhost:{server.port}; }}""")
        nginx = self.behind
        client, token = peers.client("grpcio", f"localhost:{nginx.tls}", authority.ca), rig.token()
        rig.need_equal(client.ask_all([("unary", "0", token)])[0][0], 0, "code")
        return [Ask(token, "/tokentrail.Peer/Unary", client.pids, client.exe, nginx.tls, "egress")]


def bearer(token):
    return f"Authorization: Bearer {token}"


def clients(c, authority):
    wheels = os.path.join(programs.CACHE, "wheels", "bin")
    ask = os.path.join(programs.CACHE, "rust_ask")
    debian = "/usr/bin/python3"

    def deno(url, token, _):
        return [f"{wheels}/deno", "run", "-q", "--no-config", "--allow-net", "fetch.js", url, token]

    def uv(url, token, _):
        return [f"{wheels}/uv", "pip", "install", "-q", "--no-cache", "--python", sys.executable, "--target", "uv",
                "--index-url", url.replace("://", f"://me:{token}@").rsplit("/", 2)[0], "tokentrail-none"]

    def conf(name):
        return {name: c.ca}

    with open(os.path.join(c.work, "fetch.js"), "w", encoding="ascii") as f:
        f.write(FETCH)
    rows = [
        Row("curl", "openssl", c.one(lambda u, t, a: ["curl", "-sSf", "-o", "/dev/null", "--cacert", a, "-H",
                                                      bearer(t), u]), version=["curl", "--version"]),
        Row("wget", "gnutls", c.one(lambda u, t, a: ["wget", "-q", "-O", "/dev/null", f"--ca-certificate={a}",
                                                     f"--header={bearer(t)}", u]), version=["wget", "--version"]),
        Row("git (libcurl)", "gnutls", c.one(
            lambda u, t, a: ["git", "-c", "http.version=HTTP/1.1", "-c", f"http.extraHeader={bearer(t)}", "ls-remote",
                             u], "/denied/repo", 403, "/usr/lib/git-core/git-remote-http", statuses=(128,),
            env=conf("GIT_SSL_CAINFO")), version=["git", "--version"]),
        Row("Python requests", "openssl", c.one(lambda u, t, a: [debian, "-c", REQUESTS, u, t, a]),
            version=[debian, "--version"]),
        Row("Python asyncio, aiohttp", "openssl", c.one(lambda u, t, a: [debian, "-c", AIOHTTP, u, t, a]),
            version=[debian, "--version"], own_io=True),
        Row("pycurl (wheel)", "openssl", c.one(lambda u, t, a: [f"{wheels}/python", "-c", PYCURL, u, t, a])),
        Row("libgit2 (pygit2)", "mbedtls", c.one(
            lambda u, t, a: [debian, "-c", programs.LIBGIT2, u, t, a, tempfile.mkdtemp(dir=c.work)], "/private/repo", 401)),
        Row("Node https", "openssl", c.one(lambda u, t, a: ["node", "-e", NODE_HTTPS, u, t, a]),
            version=["node", "--version"], own_io=True),
        Row("Node fetch", "openssl", c.one(lambda u, t, a: ["node", "-e", FETCH, u, t],
                                           env=conf("NODE_EXTRA_CA_CERTS")), version=["node", "--version"], own_io=True),
        Row("Ruby net/http", "openssl", c.one(lambda u, t, a: ["ruby", "-e", RUBY, u, t, a]),
            version=["ruby", "--version"]),
        Row("PHP stream", "openssl", c.one(lambda u, t, a: ["php", "-r", PHP, u, t, a]), version=["php", "--version"]),
        Row("PHP curl", "openssl", c.one(lambda u, t, a: ["php", "-r", PHP_CURL, u, t, a]),
            version=["php", "--version"]),
        Row("Perl LWP", "openssl", c.one(lambda u, t, a: ["perl", "-e", PERL, u, t, a]), version=["perl", "-e", "print $^V"]),
        Row("tstclnt", "nss", c.tstclnt),
        Row("awscrt (wheel)", "s2n", c.one(
            lambda u, t, a: [f"{wheels}/python", "-c", programs.AWSCRT, str(c.nginx.tls), t, a, "http/1.1"],
            "/items/s2n"), own_io=True),
        Row("curl_cffi (wheel)", "boringssl", c.peer("curl_cffi-1.1")),
        Row("gRPC for Python", "boringssl", lambda: c.grpc(authority), own_io=True),
        Row("Bun fetch", "boringssl", c.peer("bun"), own_io=True),
        Row("Chromium", "boringssl", c.chromium, version=[CHROMIUM, "--version"]),
        Row("Java, netty-tcnative", "boringssl", c.peer("netty-1.1"), own_io=True),
        Row("Java, Conscrypt", "boringssl", c.peer("conscrypt")),
        Row("Java HttpClient", "jsse", c.peer("java"), "jsse", version=["java", "-version"]),
        Row("Deno fetch", "rustls", c.one(deno, env=conf("DENO_CERT")), version=[f"{wheels}/deno", "--version"],
            own_io=True),
        Row("uv", "rustls", c.one(uv, "/simple/tokentrail-none/", env=conf("SSL_CERT_FILE"), statuses=(1, 2)),
            version=[f"{wheels}/uv", "--version"], own_io=True),
    ]
    rows += [Row(f"Go, {way}", "go", c.go(way), version=["go", "version"])
             for way in ("plain", "stripped", "pie", "pie-stripped")]
    rows += [Row(f"Rust reqwest, {'native-tls' if tls == 'native' else tls}{how}",
                 {"native": "openssl"}.get(tls, tls),
                 c.one(lambda u, t, a, p=f"{ask}/{tls}{how.replace(', ', '-')}": [p, u, t, a]), own_io=True)
             for tls in ("rustls", "native") for how in ("", ", stripped")]
    return rows


# ---- servers: curl asks ----

APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {dir}/pid
ErrorLog {dir}/error.log
DefaultRuntimeDir {dir}
User www-data
Group www-data
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule socache_shmcb_module {modules}/mod_socache_shmcb.so
LoadModule ssl_module {modules}/mod_ssl.so
LoadModule alias_module {modules}/mod_alias.so
SSLEngine on
SSLCertificateFile {cert}
SSLCertificateKeyFile {key}
Redirect 403 /
"""
HAPROXY = """
defaults
	mode http
	timeout client 20s
	timeout server 20s
	timeout connect 5s
frontend front
	bind 127.0.0.1:{port} ssl crt {dir}/both.pem
	default_backend back
backend back
	server nginx 127.0.0.1:{behind} ssl ca-file {ca} verify required verifyhost localhost
"""


class Servers:
    def __init__(self, work, authority, nginx):
        self.work, self.authority, self.nginx = work, authority, nginx
        self.running = {}

    def once(self, name, start):
        if name not in self.running:
            self.running[name] = start()
        return self.running[name]

    def start(self, name, words, conf=None, **fields):
        """A server on a port of its own; words and conf are formatted with port and dir."""
        return self.once(name, lambda: self.run(name, words, conf, fields))

    def run(self, name, words, conf, fields):
        if not shutil.which(words[0]):
            raise rig.Skip(f"no {words[0]} here")
        where, port = tempfile.mkdtemp(prefix="server-", dir=self.work), rig.free_port()
        fields = {"dir": where, "port": port, "cert": self.authority.cert, "key": self.authority.key,
                  "ca": self.authority.ca, **fields}
        if conf:
            with open(os.path.join(where, "conf"), "w", encoding="ascii") as f:
                f.write(conf.format(**fields))
        with open(os.path.join(where, "both.pem"), "w", encoding="ascii") as f:
            for path in (self.authority.cert, self.authority.key):
                with open(path, encoding="ascii") as part:
                    f.write(part.read())
        p = rig.spawn([w.format(**fields) for w in words], stderr=subprocess.DEVNULL)
        rig.wait_until(lambda: rig.listening(port), 20, f"{name} listens")
        return p, port

    def curl(self, port, path, status):
        token = rig.token()
        code = rig.run([CURL, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert",
                        self.authority.ca, "-H", bearer(token), f"https://localhost:{port}{path}"])[1]
        rig.need_equal(int(code), status, "status")
        return token

    def asked(self, exe, pids, port, path="/items/a", status=200):
        return Ask(self.curl(port, path, status), path, pids, exe, port, "ingress", status)

    def own_nginx(self):
        return [self.asked(NGINX, set(self.nginx.workers), self.nginx.tls)]

    def apache(self):
        p, port = self.start("apache2", ["apache2", "-d", "{dir}", "-f", "{dir}/conf", "-X"], APACHE,
                             modules=peers.APACHE_MODULES)
        return [self.asked(os.path.realpath(shutil.which("apache2")), {p.pid}, port, status=403)]

    def haproxy(self):
        p, port = self.start("haproxy", ["haproxy", "-q", "-db", "-f", "{dir}/conf"], HAPROXY, behind=self.nginx.tls)
        exe, pids = os.path.realpath(shutil.which("haproxy")), {p.pid, *rig.children(p.pid)}
        ask = self.asked(exe, pids, port)
        return [ask, Ask(ask.token, ask.path, pids, exe, self.nginx.tls, "egress")]

    def lighttpd(self, module):
        def ask():
            if not os.path.exists(f"/usr/lib/lighttpd/mod_{module}.so"):
                raise rig.Skip(f"no mod_{module} of lighttpd here")
            server = self.once(module, lambda: programs.Lighttpd(self.work, self.authority, module))
            return [self.asked(server.exe, server.pids, server.port, "/item")]
        return ask

    def go(self):
        program = programs.built("go_std", "stripped")
        p, port = self.start("Go", [program, "server", "{port}", "{cert}", "{key}"])
        return [self.asked(os.path.realpath(program), {p.pid}, port)]

    def peer(self, name):
        def ask():
            if name not in peers.SERVERS:
                raise rig.Skip(f"there is no peer {name}")
            server = self.once(name, lambda: peers.Server(name, self.authority))
            return [self.asked(server.exe, server.pids, server.port)]
        return ask


def servers(s):
    rows = [
        Row("nginx, server", "openssl", s.own_nginx, version=["nginx", "-v"]),
        Row("Apache, server", "openssl", s.apache, version=["apache2", "-v"], own_io=True),
        Row("HAProxy, both ends", "openssl", s.haproxy, version=["haproxy", "-v"]),
        Row("Node, server", "openssl", s.peer("node"), version=["node", "--version"], own_io=True),
        Row("Bun, server", "boringssl", s.peer("bun"), own_io=True),
        Row("Go stripped, server", "go", s.go, version=["go", "version"]),
    ]
    return rows + [Row(f"lighttpd mod_{m}, server", m, s.lighttpd(m), version=["lighttpd", "-v"])
                   for m in ("openssl", "gnutls", "wolfssl", "mbedtls", "nss")]


# ---- what came out ----

def coverage_of(sensor, ask):
    """The last coverage record of the program's process, or None."""
    return next((r for r in reversed(sensor.records("coverage")) if r["process"]["pid"] in ask.pids
                 or (not ask.pids and r["process"].get("executable") == ask.exe)), None)


def check_use(use, ask, row, other):
    rig.need_equal((use["http"]["method"], use["http"]["path"]), ("GET" if "Peer" not in ask.path else "POST",
                                                                  ask.path), "method, path")
    rig.need_equal(use["http"].get("status"), ask.status, "status")
    rig.need_equal(use["tls"]["library"], row.library, "tls.library")
    rig.need_equal(use["process"].get("executable"), ask.exe, "process.executable")
    rig.need(not ask.pids or use["process"]["pid"] in ask.pids, f"pid {use['process']['pid']} not in {ask.pids}")
    if row.own_io and "peer" not in use:
        return
    rig.need_equal(use["server"]["port"], ask.port, "server.port")
    here, there = ("client", "peer") if ask.direction == "egress" else ("peer", "client")
    rig.need_equal(use[here]["port"], other[there]["port"], "the client's port at both ends")
    if ask.direction == "egress":
        rig.need_equal(use["peer"], {"ip": "127.0.0.1", "port": ask.port}, "peer")


def ends(sensor, ask, token_id):
    """The uses at the program's end, and at that of curl or nginx."""
    other = NGINX if ask.direction == "egress" else CURL
    uses = sensor.uses(token_id)
    mine = [u for u in uses if u["direction"] == ask.direction and u["process"].get("executable") == ask.exe
            and (not ask.pids or u["process"]["pid"] in ask.pids)]
    theirs = [u for u in uses if u["direction"] != ask.direction and u["process"].get("executable") == other]
    if ask.exe == NGINX or not theirs:	# behind a proxy, or the other end is the same program
        theirs = [u for u in uses if u["direction"] != ask.direction]
    return mine, theirs


def check_seen(sensor, row, asks, token_id):
    for ask in asks:
        mine, theirs = ends(sensor, ask, token_id)
        rig.need_equal((rig.total(mine), rig.total(theirs)), (1, 1), f"{ask.direction} uses at its end and the other")
        check_use(mine[0], ask, row, theirs[0])
        ask.pids = {mine[0]["process"]["pid"]}


def library_of(record, name):
    return next((lib for lib in record["tls"].get("libraries", []) if lib["name"] == name), {})


def how_found(sensor, row, asks):
    record = rig.wait_until(lambda: coverage_of(sensor, asks[0]), 5, "a coverage record of it")
    rig.need_equal(record["coverage"]["status"] in ("covered", "partial"), True, f"coverage {record['coverage']}")
    attached = library_of(record, row.library).get("attached", {})
    if os.environ.get("PLACEMENT") == "symbol":
        rig.need("placed" not in attached, f"probes at functions' first bytes only, and {attached}")
    elif row.library != "nss":	# its functions offer no other place, but for one
        rig.need(attached.get("placed", 0) > 0, f"no probe of these is where it costs less: {attached}")
    return attached.get("how", "?")


def knows_peer(sensor, row, asks, token_id):
    """Is the address known at the program's own end? With own_io that depends on how the bytes arrived: what came
    in with the last of the handshake is read from memory. So: was it known once, in some requests?"""
    for more in range(TRIES):
        if all("peer" in u for ask in asks for u in ends(sensor, ask, token_id)[0]):
            return True
        if more + 1 < TRIES:
            asks = row.ask()
            token_id = sensor.ids([asks[0].token])[0]
            sensor.wait_uses(token_id, 2 * len(asks), seconds=8)
    return False


def show_uses(sensor, row, asks, token_id):
    """What `make placement` compares."""
    own = {a.exe for a in asks} if row.own_io and "PLACEMENT" in os.environ else set()
    known = knows_peer(sensor, row, asks, token_id) if own else None
    for line in sorted(f"{u['direction']} {u['tls']['library']} {u['http']['version']} {u['http']['method']} "
                       f"{re.sub('/items/.*', '/items/*', u['http']['path'])} {u['http'].get('status')} {u['count']} "
                       f"{u['process'].get('executable')} {known if u['process'].get('executable') in own else 'peer' in u}"
                       for u in sensor.uses(token_id)):
        print(f"# {row.program}: {line}")


def check_blind(sensor, row, asks, token_id):
    for ask in asks:
        rig.need_equal(ends(sensor, ask, token_id)[0], [], "uses of a program that can't be seen into")
    record = rig.wait_until(lambda: coverage_of(sensor, asks[0]), 5, "a coverage record of it")
    rig.need_equal(record["coverage"]["status"], "blind", "coverage.status")
    rig.need_equal(record["coverage"].get("reason", {}).get("name"), row.outcome, "reason")
    return record["coverage"]["reason"]["text"]


def outcome(sensor, row, asks):
    """(seen, how or why not) for the table."""
    token_id = sensor.ids([asks[0].token])[0]
    sensor.wait_uses(token_id, 2 * len(asks) if row.outcome == SEEN else 1, seconds=8)
    if row.outcome == SEEN:
        check_seen(sensor, row, asks, token_id)
        show_uses(sensor, row, asks, token_id)
        return row.outcome, how_found(sensor, row, asks)
    return "no", check_blind(sensor, row, asks, token_id)


def version_of(row):
    if not row.version or not shutil.which(row.version[0]):
        return ""
    p = subprocess.run(row.version, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.search(r"\d+\.\d+[\w.+-]*", p.stdout + p.stderr)
    return found.group(0) if found else ""


# ---- the table ----

def line_of(row, seen, how):
    return f"| {row.program} | {row.library} | {seen} | {how} |"


HEAD = ["| program | TLS library | seen | found by, or why not |", "|---|---|---|---|"]


def table_in_readme():
    with open(README, encoding="utf-8") as f:
        text = f.read()
    rig.need(text.count(MARKS[0]) == 1 and text.count(MARKS[1]) == 1, "README.md has no marks for the table")
    before, rest = text.split(MARKS[0])
    table, after = rest.split(MARKS[1])
    return before, [line for line in table.splitlines() if line.startswith("|")], after


def write_table(lines):
    before, _, after = table_in_readme()
    with open(README, "w", encoding="utf-8") as f:
        f.write(before + "\n".join([MARKS[0], *HEAD, *lines, MARKS[1]]) + after)


def compare_table(rows, measured):
    """Each row stands in the README as measured; those that were not tried here only have to stand there."""
    _, table, _ = table_in_readme()
    rig.need_equal(table[:2], HEAD, "head of the table")
    rig.need_equal([line.split(" | ")[0] for line in table[2:]], [f"| {r.program}" for r in rows], "its programs")
    wrong = [f"{got} instead of {want}" for got, want in zip(table[2:], measured) if want and got != want]
    rig.need(not wrong, f"README.md says {wrong}")


def make_known(sensor, row):
    """Shows the sensor the program's files: what is not known yet is looked at when it is mapped, and how long
    that takes is a matter of the machine (Bun has 100 MB). What stays unseen is left to the row's own ask."""
    row.ask()
    time.sleep(0.2)
    for _ in range(3 if row.outcome == SEEN else 0):
        asks = row.ask()
        token_id = sensor.ids([asks[0].token])[0]
        with contextlib.suppress(AssertionError):
            rig.wait_until(lambda a=asks, t=token_id: all(ends(sensor, x, t)[0] for x in a), 1.5, "its uses")
            return


def main():
    rig.need_root()
    only = [a for a in sys.argv[1:] if a != "--write"]
    work = rig.work_dir("matrix")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, http2=True, more=f"""
		location /page {{
			default_type text/html;
			return 200 '{PAGE}';
		}}
		location /private {{
			add_header WWW-Authenticate 'Basic realm="tokentrail"' always;
			return 401;
		}}""")
    sensor = rig.Sensor(work)
    rows = clients(Clients(nginx, authority, work), authority) + servers(Servers(work, authority, nginx))
    asked, measured = {}, []
    for row in rows:
        if not only or any(o in row.program for o in only):
            with rig.case(f"{row.program} runs"):
                make_known(sensor, row)
                asked[row.program] = row.ask()
    for row in rows:
        result = None
        if row.program in asked:
            with rig.case(f"{row.program}, {row.library}: {row.outcome}"):
                result = line_of(row, *outcome(sensor, row, asked[row.program]))
                print(f"# {version_of(row) or '-'}\t{result}")
        measured.append(result)
    if "--write" in sys.argv:
        write_table([m or line_of(r, "?", "?") for r, m in zip(rows, measured)])
    with rig.case("the table in README.md is what was measured"):
        compare_table(rows, measured)
    with rig.case("24 programs at least"):
        rig.need(only or sum(m is not None for m in measured) >= 24, f"{sum(m is not None for m in measured)}")
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    rig.finish()


main()
