#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is said of each process's TLS: covered with the right library and version, blind with the true
reason and its connections counted; bytes against TCP's own count; records, `tokentrail coverage` and
metrics say the same."""
import contextlib
import datetime
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

BULK = 20 << 20
JAVA = """
import java.net.URI;
import java.net.http.*;
import java.security.cert.X509Certificate;
import javax.net.ssl.*;

class Client {
    public static void main(String[] args) throws Exception {
        TrustManager all = new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] c, String a) { }
            public void checkServerTrusted(X509Certificate[] c, String a) { }
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        };
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] { all }, null);
        for (int i = 0; i < 3; i++)
            HttpClient.newBuilder().sslContext(context).build().send(
                HttpRequest.newBuilder(URI.create(args[0])).build(),
                HttpResponse.BodyHandlers.ofString());
        System.out.println("done");
        System.in.read();
    }
}
"""
# Downloads over one connection and tells what TCP counted on it (linux/tcp.h, struct tcp_info).
PYTHON = """
import socket, ssl, struct, sys
port, ca, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
raw = socket.create_connection(("127.0.0.1", port))
s = ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname="localhost")
s.sendall(f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n".encode())
got = b""
while b"\\r\\n\\r\\n" not in got:
    got += s.recv(65536)
head, _, body = got.partition(b"\\r\\n\\r\\n")
left = int(head.lower().split(b"content-length: ")[1].split()[0]) - len(body)
while left:
    left -= len(s.recv(65536))
info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
print(*struct.unpack_from("QQ", info, 120), flush=True)    # tcpi_bytes_acked, tcpi_bytes_received
sys.stdin.read()
"""

PARSER = """
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.samples, family.name
    print(f"{family.type}:{family.name}")
"""


def when(text):
    return datetime.datetime.fromisoformat(text[:26] + "+00:00").timestamp()


class Test:
    def __init__(self):
        self.work = rig.work_dir("coverage")
        self.authority = rig.Authority(self.work)
        with open(os.path.join(self.work, "bulk"), "wb") as f:
            f.write(os.urandom(BULK))
        self.nginx = rig.Nginx(self.work, self.authority, more=f"location /bulk {{ root {self.work}; }}")
        self.url = f"https://localhost:{self.nginx.tls}"
        # Of their own, so that nobody else's processes are in their sums.
        self.curl = os.path.join(self.work, "curl")
        shutil.copy(shutil.which("curl"), self.curl)
        self.metrics = rig.free_port()
        self.sensor = rig.Sensor(self.work, "--set", "output.coverage_interval=1s", "--set",
                                 "metrics.enabled=true", "--set", f"metrics.listen=127.0.0.1:{self.metrics}")

    def record(self, pid, truth=lambda r: True, seconds=15):
        """The newest record of a process, once it is as wanted."""
        def newest():
            found = [r for r in self.sensor.records("coverage") if r["process"].get("pid") == pid]
            return found and truth(found[-1]) and found[-1]
        try:
            return rig.wait_until(newest, seconds, f"a record of process {pid}")
        except AssertionError as e:
            every = [r for r in self.sensor.records("coverage") if r["process"].get("pid") == pid]
            raise AssertionError(f"{e}; the last one: {json.dumps(every[-1:])}") from None

    def run_curl(self, *args):
        p = rig.spawn([self.curl, "-sS", "--cacert", self.authority.ca, "-o", "/dev/null", *args])
        rig.need_equal(p.wait(60), 0, "curl")
        return p.pid

    def curl_and_nginx(self):
        with rig.case("curl and nginx are covered, library and version named"):
            version = rig.run(["openssl", "version"])[1].split()[1]
            pid = self.run_curl(self.url + "/")
            r = self.record(pid, lambda r: r["coverage"].get("ended"))
            rig.need_equal((r["tls"].get("library"), r["tls"].get("version")), ("openssl", version), "library")
            rig.need_equal(r["tls"]["attached"]["how"], "symbols", "how")
            rig.need(when(r["tls"]["attached"]["since"]) > when(r["@timestamp"]) - 600, "since")
            rig.need_equal((r["tls"].get("client"), r["tls"].get("server")), (True, None), "ends")
            rig.need_equal((r["coverage"]["status"], r["coverage"]["share"]), ("covered", 1.0), "verdict")
            rig.need_equal((r["tls"]["sockets"], r["tls"]["blind_sockets"]), (1, 0), "sockets")
            ms = r["coverage"]["exec_to_first_call_ms"]
            rig.need(0 < ms < 10000, f"{ms} ms")
            rig.need_equal(r["process"]["executable"], self.curl, "executable")
            server = self.record(self.nginx.workers[0], lambda r: r["coverage"]["status"] == "covered")
            rig.need_equal((server["tls"].get("library"), server["tls"].get("version"), server["tls"].get("server")),
                           ("openssl", version, True), "nginx")
            print(f"#  {ms} ms from exec to the first covered call of curl", flush=True)

    def bulk(self):
        with rig.case("20 MB by curl: bytes on the wire and covered, within 1 %"):
            pid = self.run_curl(self.url + "/bulk")
            r = self.record(pid, lambda r: r["coverage"].get("ended"))
            wire, covered, plain = (r["tls"]["received"][k] for k in ("wire", "covered", "plaintext"))
            rig.need(BULK <= plain <= BULK + 2000, f"plaintext {plain}")
            # A record of 16 KiB has 22 bytes of its own (RFC 8446, 5.2).
            rig.need(plain < wire < BULK * 1.01, f"wire {wire} of {BULK}")
            rig.need(abs(covered - wire) <= wire / 100, f"covered {covered} of {wire}")
            rig.need(r["coverage"]["share"] >= 0.99, f"share {r['coverage']['share']}")
        with rig.case("bytes on the wire are those that TCP counted"):
            p = rig.spawn(["/usr/bin/python3", "-c", PYTHON, str(self.nginx.tls), self.authority.ca, "/bulk"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            sent, received = map(int, p.stdout.readline().split())
            r = self.record(p.pid, lambda r: r["tls"]["received"]["wire"] >= received)
            rig.need_equal(r["tls"]["received"]["wire"], received, "received")
            # TCP counts the SYN, too, and what is not acknowledged yet is not in it.
            rig.need(abs(r["tls"]["sent"]["wire"] - sent) <= 600, f"sent {r['tls']['sent']['wire']}, not {sent}")
            rig.need(r["coverage"]["share"] >= 0.99 and r["coverage"]["status"] == "covered", str(r["coverage"]))
            p.stdin.close()
            p.wait(10)

    def java(self):
        with rig.case("Java's own TLS is blind, its connections counted"):
            if not shutil.which("java") or not shutil.which("javac"):
                raise rig.Skip("no JDK")
            with open(os.path.join(self.work, "Client.java"), "w", encoding="ascii") as f:
                f.write(JAVA)
            rig.run(["javac", "-d", self.work, os.path.join(self.work, "Client.java")])
            p = rig.spawn(["java", "-cp", self.work, "Client", self.url + "/"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
            rig.need_equal(p.stdout.readline(), "done\n", "the client")
            r = self.record(p.pid, lambda r: r["tls"]["sockets"] == 3 and r["coverage"]["status"] == "blind")
            rig.need_equal(r["coverage"]["reason"]["name"], "jsse", "reason")
            rig.need("netty-tcnative" in r["coverage"]["reason"]["remedy"], "remedy")
            rig.need_equal((r["tls"]["blind_sockets"], r["tls"]["bytes"]["covered"]), (3, 0), "what is blind")
            rig.need(r["tls"]["bytes"]["wire"] > 3000, "bytes")
            jsse = [b for b in r["tls"]["libraries"] if b["name"] == "jsse"]
            version = re.search(r'version "([\d.]+)', rig.run(["java", "-version"])[2]).group(1)
            rig.need(len(jsse) == 1 and jsse[0].get("version", "").startswith(version), f"{jsse}, not {version}")
            p.stdin.close()
            p.wait(20)
            rig.need(self.record(p.pid, lambda r: r["coverage"].get("ended")), "its end")

    def private(self):
        program = os.path.join(self.work, "private_tls")
        rig.run(["gcc", "-O2", "-s", "-o", program, os.path.join(rig.ROOT, "tests", "lib", "private_tls.c"),
                 "-Wl,-Bstatic", "-lmbedtls", "-lmbedx509", "-lmbedcrypto", "-Wl,-Bdynamic"])
        with rig.case("a private TLS library is blind soon after its ClientHello"):
            p = rig.spawn([program, "127.0.0.1", str(self.nginx.tls)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
            rig.need(int(p.stdout.readline()) > 100, "an answer")
            r = self.record(p.pid, lambda r: r["coverage"]["status"] == "blind")
            rig.need(r["coverage"]["reason"]["name"] in ("no_library", "not_found"), str(r["coverage"]))
            rig.need_equal((r["tls"]["sockets"], r["tls"]["blind_sockets"], r["coverage"]["share"]), (1, 1, 0.0),
                           "what is blind")
            first = [x for x in self.sensor.records("coverage") if x["process"].get("pid") == p.pid][0]
            rig.need_equal(first["coverage"]["status"], "blind", "nothing else was said before")
            late = when(first["@timestamp"]) - when(first["tls"]["first"])
            rig.need(late < 2, f"{late:.2f} s after its ClientHello")
            print(f"#  blind {late:.2f} s after the ClientHello", flush=True)
            self.blind = p

    def listing(self):
        with rig.case("tokentrail coverage"):
            pid = self.blind.pid
            state = ["--state-dir", self.sensor.state]

            def stored():
                out = rig.run([rig.TOKENTRAIL, "coverage", "--json", *state], check=False)[1]
                return [r for r in map(json.loads, out.splitlines()) if r["process"]["pid"] == pid]
            stored_record = rig.wait_until(stored, 10, "the record in the store")[0]
            rig.need_equal(stored_record, self.record(pid), "the record")
            table = rig.run([rig.TOKENTRAIL, "coverage", *state])[1]
            row = next(line for line in table.splitlines() if f"({pid})" in line)
            rig.need("blind" in row and "0.0 %" in row and stored_record["coverage"]["reason"]["text"] in row, row)
            row = next(line for line in table.splitlines() if line.startswith(self.curl + "("))
            rig.need(" covered " in row and " ms " in row and "100 %" in row, row)
            rig.need(re.search(r"\n\n\S+: [\d.]+ % of .* on TLS sockets covered; \d+ processes: ", table), table)
            sums = rig.run([rig.TOKENTRAIL, "coverage", "--by", "workload", "--json", *state])[1]
            rig.need(any(r["workload"]["name"] == stored_record["workload"]["name"] and
                         r["processes"].get("blind") for r in map(json.loads, sums.splitlines())), sums)

    def scrape(self):
        return rig.run(["curl", "-sS", "--fail", f"http://127.0.0.1:{self.metrics}/metrics"])[1]

    def metric(self, page, name, **labels):
        """The value of the series that has these labels; None: there is none."""
        for line in page.splitlines():
            m = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if m and m.group(1) == name and all(f'{k}="{v}"' in m.group(2) for k, v in labels.items()):
                return float(m.group(3))
        return None

    def prometheus(self):
        with rig.case("metrics are well formed and equal the records"):
            page = self.scrape()
            families = rig.run(["/usr/bin/python3", "-c", PARSER], stdin=page)[1].split()
            with open(os.path.join(rig.ROOT, "include", "tokentrail", "metrics.def"), encoding="ascii") as f:
                names = re.findall(r'^TT_METRIC\(\w+, (\w+), "(\w+)"', f.read(), re.M)
            want = {f"{kind}:{name.removesuffix('_total')}" for kind, name in names if "kafka" not in name}
            rig.need_equal(set(families), want, "families as a client of Prometheus reads them")
            for pid in (self.blind.pid, self.run_curl(self.url + "/")):
                workload = self.record(pid)["workload"]

                def equal():
                    last = {}
                    for r in self.sensor.records("coverage"):
                        if r["workload"] == workload:
                            last[r["process"]["pid"], r["process"]["start"]] = r["tls"]["bytes"]
                    got = self.scrape()
                    return all(sum(b[key] for b in last.values()) == self.metric(
                        got, f"tokentrail_workload_tls_{name}bytes_total", kind=workload["kind"],
                        workload=workload["name"]) for key, name in (("wire", ""), ("covered", "covered_")))
                rig.wait_until(equal, 10, f"the sums of {workload}")
            page = self.scrape()
            share = self.metric(page, "tokentrail_coverage_ratio", scope="node")
            wire, covered = (sum(self.metric(page, f"tokentrail_tls_{k}bytes_total", direction=d)
                                 for d in ("sent", "received")) for k in ("", "covered_"))
            rig.need(0 < share < 1 and abs(share - covered / wire) < 1e-4, f"{share}, {covered} of {wire}")
            rig.need(self.metric(page, "tokentrail_tls_processes", status="blind") >= 1, "blind processes")
            rig.need(self.metric(page, "tokentrail_probes") > 0, "probes")
            rig.need_equal(self.metric(page, "tokentrail_ready"), 1, "ready")
        with rig.case("the agent's server and its sandbox"):
            rig.need_unprivileged(self.sensor.agent)
            status = rig.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                              f"http://127.0.0.1:{self.metrics}/"])[1]
            rig.need_equal(status, "404", "another path")

    def run(self):
        self.curl_and_nginx()
        self.bulk()
        self.java()
        self.private()
        self.listing()
        self.prometheus()
        with rig.case("the end"):
            with contextlib.suppress(BrokenPipeError):
                self.blind.stdin.close()
            self.blind.wait(10)
            rig.need_equal(self.sensor.stop(), 0, "exit status")


if __name__ == "__main__":
    rig.need_root()
    Test().run()
    rig.finish()
