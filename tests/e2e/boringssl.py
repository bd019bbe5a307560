#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS libraries inside other files. BoringSSL with its symbols (curl_cffi, Netty) and without (Bun, Envoy;
gRPC's C core is in http2_grpc.py), HTTP/1.1 and HTTP/2: each request is one use at each end. And files
with symbols are the judges of what is found in copies without."""
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error

BORINGSSL = os.path.join(peers.CACHE, "boringssl")
HOOKS = os.path.join(rig.TOOLS, "elf_hooks")
SYMBOLS, XREF = "1", "3"	# enum tt_how
# The same token twice: an index into a table with HTTP/2. A status other than 200, and a new connection.
QUESTIONS = (("GET", "/items/a", 200), ("POST", "/items/b", 200), ("GET", "/denied", 403), ("GET", "/gone", 404))
ENVOY_CONF = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{filename: {cert}}}
              private_key: {{filename: {key}}}
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                route: {{cluster: behind}}
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: behind
    load_assignment:
      cluster_name: behind
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {behind}}}}}}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: localhost
        common_tls_context:
          validation_context: {{trusted_ca: {{filename: {ca}}}}}
"""


class Envoy(peers.Server):
    """A proxy with TLS on both sides; behind it HTTP/2."""

    def __init__(self, directory, authority, behind):  # pylint: disable=super-init-not-called
        found = rig.run([peers.program_of(peers.BORINGSSL_PYTHON), "-c",
                         "import sysconfig; print(sysconfig.get_path('purelib'))"])[1].strip()
        self.exe = os.path.join(os.path.realpath(found), "envoy", "_bin", "envoy")
        self.port = rig.free_port()
        conf = os.path.join(directory, "envoy.yaml")
        with open(conf, "w", encoding="ascii") as f:
            f.write(ENVOY_CONF.format(port=self.port, behind=behind, cert=authority.cert, key=authority.key,
                                      ca=authority.ca))
        os.chmod(self.exe, 0o755)
        self.process = rig.spawn([self.exe, "-c", conf, "--disable-hot-restart", "--concurrency", "1",
                                  "--log-level", "error", "--log-path", os.path.join(directory, "envoy.log")])
        rig.wait_until(lambda: rig.listening(self.port), 20, "envoy listens")


# ---- addresses ----

def scan(path):
    """(library, how, version) of what is in a file, and where its functions are."""
    findings, hooks = [], {}
    for line in rig.run([HOOKS, path])[1].splitlines():
        kind, *words = line.split()
        if kind == "finding":
            rig.need_equal(words[2], "0", f"reason why {words[0]} in {path} is not seen")
            findings.append((words[0], words[1], " ".join(words[3:])))
        elif kind == "hook":
            hooks[words[0]] = int(words[1])
    return findings, hooks


def without_sections(path, to):
    """A copy that has nothing but what the kernel needs to run it."""
    shutil.copyfile(path, to)
    with open(to, "r+b") as f:
        for at, size in ((0x28, 8), (0x3c, 4)):	# e_shoff; e_shnum and e_shstrndx
            f.seek(at)
            f.write(bytes(size))


def same_addresses(path, work, library, version=""):
    findings, known = scan(path)
    rig.need_equal(findings, [(library, SYMBOLS, version)], "what the symbols say")
    copy = os.path.join(work, "copy")
    without_sections(path, copy)
    findings, found = scan(copy)
    rig.need_equal(findings, [(library, XREF, version)], "what is found without them")
    for hook in (f"{library}_write", f"{library}_read"):
        rig.need_equal(found.get(hook), known[hook], f"offset of {hook}")
    out = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    new = next(int(line.split()[0], 16) for line in out.splitlines() if line.endswith(" SSL_new"))
    segments = [line.split() for line in rig.run(["readelf", "-lW", path])[1].splitlines() if " R E " in line]
    offset, vaddr = (int(word, 16) for word in segments[0][1:3])
    rig.need_equal(found.get(f"{library}_new"), new - vaddr + offset, f"offset of {library}_new")
    os.unlink(copy)


def member(archive, suffix, work):
    """One file out of a wheel or a jar."""
    with zipfile.ZipFile(archive) as z:
        name = next(n for n in z.namelist() if n.endswith(suffix))
        return z.extract(name, work)


def files_of(folder, suffix):
    try:
        return sorted(os.path.join(d, n) for d, _, names in os.walk(folder) for n in names if n.endswith(suffix))
    except OSError:
        return []


def one_of(folder, suffix):
    found = files_of(folder, suffix)
    if not found:
        raise rig.Skip(f"no {suffix} in {folder}; tests/lib/fetch.sh says why")
    return found[0]


def addresses(work):
    for version, full in (("3.4.8", "1.1.1l"), ("46.0.3", "3.5.4"), ("50.0.2", "4.0.3")):
        with rig.case(f"OpenSSL {full} in cryptography {version}, without symbols"):
            wheel = one_of(os.path.join(BORINGSSL, "wheels"), f"cryptography-{version}-{wheel_tail(version)}")
            name = "_openssl.abi3.so" if version == "3.4.8" else "_rust.abi3.so"
            same_addresses(member(wheel, name, work), work, "openssl", full)
    with rig.case("BoringSSL in curl_cffi, without symbols"):
        same_addresses(one_of(BORINGSSL, "_wrapper.abi3.so"), work, "boringssl")
    with rig.case("BoringSSL in netty-tcnative, without symbols"):
        jar = one_of(peers.NETTY, "linux-x86_64.jar")
        same_addresses(member(jar, "linux_x86_64.so", work), work, "boringssl")


def wheel_tail(version):
    return {"3.4.8": "cp36-abi3-manylinux_2_24_x86_64.whl"}.get(version, "cp311-abi3-manylinux_2_34_x86_64.whl")


# ---- uses ----

def ask(client, version, port=None):
    """Makes the requests; client.ask_all() ends it."""
    tokens = {status: rig.token() for status in (200, 403, 404)}
    answers = client.ask_all([(method, path, tokens[status]) for method, path, status in QUESTIONS])
    rig.need_equal([code for code, _ in answers], [status for *_, status in QUESTIONS], "statuses at the client")
    return [seen.Want(tokens[status], method, path, status, port or saw, version=version)
            for (method, path, status), (_, saw) in zip(QUESTIONS, answers)]


class OneCurl(peers.Curl):
    """All questions over one connection, of either version."""

    def ask(self, *question):
        return self.run(question)[0]

    def stop(self):
        pass

    def __init__(self, base, ca, version):
        super().__init__(base, ca)
        self.how, self.version = f"--http{version}", version

    def run(self, *questions):
        argv = ["curl"]
        for q in questions:
            argv += [*(["--next"] if len(argv) > 1 else []), *self.words(*q)]
        p = rig.spawn(argv, stdout=subprocess.PIPE, text=True)
        self.pids.add(p.pid)
        answers = [line.split() for line in p.communicate(timeout=60)[0].splitlines()]
        rig.need_equal((p.returncode, {v for v, _, _ in answers}), (0, {self.version}), "status, HTTP version of curl")
        return [(int(code), int(port)) for _, code, port in answers]


def make_known(sensor, exe, client):
    """What a program does before its file has been looked at (0.3 s for a hundred megabytes) is not seen."""
    token = rig.token()
    token_id = sensor.ids([token])[0]

    def is_seen():
        client.ask("GET", "/items/a", token)
        return [u for u in sensor.uses(token_id) if u["process"].get("executable") == exe]
    rig.wait_until(is_seen, 30, f"{exe} is seen")
    client.stop()
    time.sleep(1.1)	# what it wrote and joined with something else waits for its send: bpf/unsent.bpf.h


def clients(sensor, work, authority):
    nginx = rig.Nginx(work, authority, http2=True)
    for name, version, own_io in (("curl_cffi-1.1", "1.1", False), ("curl_cffi-2", "2", False),
                                  ("netty-1.1", "1.1", True), ("netty-2", "2", True), ("bun", "1.1", True)):
        with rig.case(f"{name} to nginx, HTTP/{version}"):
            if "netty" in name:
                one_of(peers.NETTY, "Netty.class")
            client = peers.client(name, f"https://localhost:{nginx.tls}", authority.ca)
            make_known(sensor, client.exe, client)
            client = peers.client(name, f"https://localhost:{nginx.tls}", authority.ca)
            seen.check(sensor, ask(client, version), [
                seen.End("egress", client.exe, client.pids, "boringssl", nginx.tls, own_io=own_io),
                seen.End("ingress", "/usr/sbin/nginx", set(nginx.workers), "openssl", nginx.tls)])
    nginx.stop()


def servers(sensor, work, authority):
    with rig.case("curl to Bun, HTTP/1.1"):
        server = peers.Server("bun", authority)
        make_known(sensor, server.exe, OneCurl(f"https://localhost:{server.port}", authority.ca, "1.1"))
        client = OneCurl(f"https://localhost:{server.port}", authority.ca, "1.1")
        wants = ask(client, "1.1")
        seen.check(sensor, wants, [
            seen.End("egress", client.exe, client.pids, "openssl", server.port),
            seen.End("ingress", server.exe, server.pids, "boringssl", server.port, own_io=True, unsure=2)])
        server.stop()
    for version in ("1.1", "2"):
        with rig.case(f"curl to Envoy, HTTP/{version}, which asks nginx with HTTP/2"):
            nginx = rig.Nginx(work, authority, http2=True)
            if version == "1.1":
                envoy = Envoy(work, authority, nginx.tls)
                make_known(sensor, envoy.exe, OneCurl(f"https://localhost:{envoy.port}", authority.ca, version))
                envoy.stop()	# its connection to nginx began too early
            envoy = Envoy(work, authority, nginx.tls)
            client = OneCurl(f"https://localhost:{envoy.port}", authority.ca, version)
            wants = ask(client, version)
            seen.check(sensor, wants, [
                seen.End("egress", client.exe, client.pids, "openssl", envoy.port),
                seen.End("ingress", envoy.exe, envoy.pids, "boringssl", envoy.port),
                seen.End("egress", envoy.exe, envoy.pids, "boringssl", nginx.tls, behind=True),
                seen.End("ingress", "/usr/sbin/nginx", set(nginx.workers), "openssl", nginx.tls, behind=True)])
            envoy.stop()
            nginx.stop()


def lockstep(program, authority, mode, token):
    head = f"GET /items/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    return json.loads(rig.run([program, mode, "two", authority.cert, authority.key], stdin=head)[1])


def stripped_openssl(sensor, work, authority):
    """Debian's static OpenSSL 3.0, both ends in one stripped program, by either family of calls."""
    static = os.path.join(rig.TOOLS, "lockstep-static")
    program = os.path.join(work, "lockstep-stripped")
    for mode in ("tls", "tls_ex"):
        with rig.case(f"a stripped program with OpenSSL inside, {mode}"):
            if not os.path.exists(program):
                rig.run(["strip", "-o", program, static])

            def is_seen(mode=mode):
                token = rig.token()
                lockstep(program, authority, mode, token)
                return sensor.uses(sensor.ids([token])[0])
            rig.wait_until(is_seen, 20, "the program is known")
            token = rig.token()
            did = lockstep(program, authority, mode, token)
            token_id = sensor.ids([token])[0]
            uses = sensor.wait_uses(token_id, 2 * did["requests"])
            for direction in ("egress", "ingress"):
                these = [u for u in uses if u["direction"] == direction]
                rig.need_equal(rig.total(these), did["requests"], f"uses, {direction}")
                rig.need_equal({(u["http"]["path"], u["http"].get("status"), u["tls"]["library"],
                                 u["process"]["executable"], u["peer"]["ip"]) for u in these},
                               {("/items/a", 200, "openssl", program, "127.0.0.1")}, f"what they are, {direction}")


def main():
    rig.need_root()
    work = rig.work_dir("boringssl")
    authority = rig.Authority(work)
    addresses(work)
    sensor = rig.Sensor(work)
    clients(sensor, work, authority)
    servers(sensor, work, authority)
    stripped_openssl(sensor, work, authority)
    with rig.case("the sensor ends with status 0, and nothing was lost"):
        seen.nothing_lost(sensor, but=("hpack_evicted",))	# of connections older than the probes: make_known()
    rig.finish()


main()
