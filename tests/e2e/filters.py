#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""include and exclude: by executable, cgroup and Kubernetes namespace, for programs of one library. Nothing of
what is excluded is reported, or read by the kernel programs; what is not excluded misses nothing, also while the
settings change under load; `coverage`, metrics and doctor say who is left alone, and that is no loss."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

SECONDS = 30	# on a busy machine
IN_FORCE = "the new value is in force setting="
# Its socket or TLS object stays for many requests; between them it waits for a line.
KEPT = """
import http.client, ssl, sys
port, token, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
c = http.client.HTTPSConnection("localhost", port, context=ssl.create_default_context(cafile=ca)) if ca else \
    http.client.HTTPConnection("localhost", port)
for line in sys.stdin:
    for i in range(int(line)):
        c.request("GET", "/kept", headers={"Authorization": "Bearer " + token})
        c.getresponse().read()
    print("done", flush=True)
"""


def cgroup_root():
    with open("/proc/self/mountinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            fields, _, kind = line.partition(" - ")
            if kind.split()[0] == "cgroup2":
                return fields.split()[4]
    raise rig.Skip("there is no cgroup2 here")


class Cgroup:
    """One of this test's own, below the mount's root; processes are put into it before they run their program."""

    def __init__(self, path):
        self.path = path
        self.directory = cgroup_root() + path
        os.makedirs(self.directory, exist_ok=True)

    def enter(self):
        with open(os.path.join(self.directory, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write("0")

    def take(self, pid):
        with open(os.path.join(self.directory, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(pid))

    def remove(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.directory)


class Kept:
    """A client that keeps its connection: Python over OpenSSL, or over a plain socket."""

    def __init__(self, case, token, tls=True, python=sys.executable, **kw):
        ca, port = (case.authority.ca, case.nginx.tls) if tls else ("", case.nginx.plain)
        self.process = rig.spawn([python, "-c", KEPT, str(port), token, ca], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, **kw)
        self.asked = 0

    def ask(self, count=1):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        rig.need_equal(self.process.stdout.readline(), "done\n", "the client's answer")
        self.asked += count

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


class Case:
    def __init__(self):
        self.work = rig.work_dir("filters")
        self.authority = rig.Authority(self.work)
        self.nginx = rig.Nginx(self.work, self.authority, workers=1)
        # Two executables of one library, and one that nobody has run before.
        self.curl = {}
        for name in ("wanted", "left", "late"):
            os.mkdir(os.path.join(self.work, name))
            self.curl[name] = os.path.join(self.work, name, "curl")
            shutil.copy2(shutil.which("curl"), self.curl[name])
        self.python = os.path.join(self.work, "left", "python3")
        shutil.copy2(os.path.realpath(sys.executable), self.python)
        self.config = os.path.join(self.work, "filters.yaml")
        self.metrics = rig.free_port()
        self.write(exclude={"executables": [os.path.join(self.work, "left"), "/nowhere/*"]})
        self.sensor = rig.Sensor(self.work, "--config", self.config, "--set", "metrics.enabled=true", "--set",
                                 f"metrics.listen=127.0.0.1:{self.metrics}", "--set", "limits.ring=32MiB", "--set",
                                 "limits.memory=192MiB", "--set", "http.status_wait=3s", per_call=False)
        self.cgroups = []

    def write(self, **sections):
        with open(self.config, "w", encoding="ascii") as f:
            for section, lists in sections.items():
                f.write(f"{section}:\n")
                for name, items in lists.items():
                    f.write(f"  {name}: {json.dumps(items)}\n")

    def hup(self, want=IN_FORCE, **sections):
        before = self.sensor.errors().count(want)
        self.write(**sections)
        os.kill(self.sensor.monitor, signal.SIGHUP)
        rig.wait_until(lambda: self.sensor.errors().count(want) > before, SECONDS, want)
        time.sleep(0.2)

    def cgroup(self, path):
        self.cgroups.append(Cgroup(path))
        return self.cgroups[-1]

    def ask(self, name, token, plain=False, **kw):
        port, scheme = (self.nginx.plain, "http") if plain else (self.nginx.tls, "https")
        rig.run([self.curl[name], "-sS", "--fail", "--cacert", self.authority.ca, "-o", "/dev/null", "-H",
                 f"Authorization: Bearer {token}", f"{scheme}://localhost:{port}/v1/{name}"], **kw)

    def metric(self, name, **labels):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as page:
            text = page.read().decode()
        want = ",".join(f'{k}="{v}"' for k, v in labels.items())
        found = re.search(rf"^{name}{'{' + want + '}' if want else ''} (\S+)$", text, re.M)
        rig.need(found, f"{name} {labels} is on the page")
        return float(found.group(1))

    def fresh(self, step, name):
        """A counter as it is in a second or two."""
        was = self.metric(name)
        return rig.wait_until(lambda: self.metric(name) >= was + step and self.metric(name), SECONDS, name)

    def egress(self, token):
        return self.sensor.uses(self.sensor.ids([token]), "egress")

    def used(self, token, count=1):
        """Seen at this end so often."""
        rig.wait_until(lambda: rig.total(self.egress(token)) >= count, SECONDS, f"{count} uses")
        time.sleep(0.3)
        rig.need_equal(rig.total(self.egress(token)), count, "uses at the client")

    def unused(self, token, server=1):
        """Seen by the server, which is not excluded, and so by now at this end, too, if it were at all."""
        token_id = self.sensor.ids([token])
        rig.wait_until(lambda: rig.total(self.sensor.uses(token_id, "ingress")) >= server, SECONDS, "the server's uses")
        time.sleep(1.2)
        rig.need_equal(self.egress(token), [], "uses at the client")


def executables(c):
    with rig.case("of two programs with one library the excluded one is left alone, over TLS and plain sockets"):
        for plain in (False, True):
            wanted, left = rig.token(), rig.token()
            for _ in range(3):
                c.ask("wanted", wanted, plain)
                c.ask("left", left, plain)
            c.unused(left, 3)
            c.used(wanted, 3)
    with rig.case("a program that nobody ran before is decided when it begins"):
        token = rig.token()
        c.ask("late", token)
        c.used(token)
    with rig.case("what is excluded is counted, and is no loss"):
        was, lost = c.metric("tokentrail_excluded_calls_total"), c.metric("tokentrail_not_reported_total",
                                                                         reason="filter_undecided")
        c.ask("left", rig.token())
        rig.wait_until(lambda: c.metric("tokentrail_excluded_calls_total") >= was + 4, SECONDS, "excluded calls")
        rig.need_equal(c.metric("tokentrail_not_reported_total", reason="filter_undecided"), lost, "undecided calls")
    with rig.case("it runs another program: that one's path counts"):
        token = rig.token()
        rig.run([c.curl["left"], "-V"])
        rig.run(["sh", "-c", f"exec {c.curl['wanted']} -sS --fail --cacert {c.authority.ca} -o /dev/null "
                 f"-H 'Authorization: Bearer {token}' https://localhost:{c.nginx.tls}/v1/exec"])
        c.used(token)
        token = rig.token()
        rig.run([shutil.which("env"), c.curl["left"], "-sS", "--fail", "--cacert", c.authority.ca, "-o", "/dev/null", "-H",
                 f"Authorization: Bearer {token}", f"https://localhost:{c.nginx.tls}/v1/exec"])
        c.unused(token)


def coverage(c):
    with rig.case("coverage, metrics and doctor say who is left alone"):
        python = c.python
        kept = Kept(c, rig.token(), python=python)
        kept.ask()
        pid = kept.process.pid
        record = rig.wait_until(lambda: [r for r in c.sensor.records("coverage") if r["process"]["pid"] == pid], SECONDS,
                                "its coverage")[-1]
        rig.need_equal((record["coverage"]["status"], record["process"]["executable"]), ("excluded", python), "coverage")
        rig.need_equal(record["tls"].get("sockets", 0), 0, "sockets counted")
        rig.need(c.metric("tokentrail_tls_processes", status="excluded") >= 1, "excluded processes")
        out = rig.run([rig.TOKENTRAIL, "doctor", "--json", "--config", c.config], check=False)[1]
        line = next(r for r in map(json.loads, out.splitlines()) if r["name"] == "filters")
        rig.need("executables" in line["what"] and line["level"] == "ok", line)
        kept.end()


def rows(sensor, name):
    """What a table of this sensor has: others may run meanwhile."""
    for fd in os.listdir(f"/proc/{sensor.monitor}/fdinfo"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/{sensor.monitor}/fdinfo/{fd}", encoding="ascii") as f:
                fields = dict(line.split(":", 1) for line in f.read().splitlines() if ":" in line)
            if "map_id" not in fields:
                continue
            number = fields["map_id"].strip()
            if json.loads(rig.run(["bpftool", "--json", "map", "show", "id", number])[1])["name"] == name:
                dump = json.loads(rig.run(["bpftool", "--json", "map", "dump", "id", number])[1])
                return [e["formatted"] for e in dump]
    raise AssertionError(f"no table {name}")


def ends(c, pid, port):
    """Connections of a process's TLS objects, and plain ones to this port."""
    return [r for r in rows(c.sensor, "conns") if r["key"]["tgid"] == pid or
            (r["key"]["tgid"] == 0 and r["value"]["tuple"]["remote_port"] == port)]


def nothing_is_read(c):
    with rig.case("no connection of an excluded program is entered, and what is read of one is read through its row"):
        python = c.python
        for tls in (True, False):
            port = c.nginx.tls if tls else c.nginx.plain
            wanted, left = Kept(c, rig.token(), tls), Kept(c, rig.token(), tls, python=python)
            wanted.ask(20)
            rig.need_equal(len(ends(c, wanted.process.pid, port)), 1, "connections of the other program")
            wanted.end()
            left.ask(20)
            rig.need_equal(ends(c, left.process.pid, port), [], "connections of an excluded program")
            left.end()


def cgroups(c):
    top = f"/tokentrail-{os.getpid()}"
    with rig.case("by cgroup: what is in it or below, also in cgroups that are made later"):
        inside, beside = c.cgroup(top), c.cgroup(top + "-beside")
        c.hup(exclude={"cgroups": [f"/tokentrail-{os.getpid()}", "/none/of/these"]})
        deep = c.cgroup(f"{top}/later")
        for group in (inside, deep):
            for plain in (False, True):
                token = rig.token()
                c.ask("wanted", token, plain, preexec_fn=group.enter)
                c.unused(token)
        token = rig.token()
        c.ask("left", token, preexec_fn=beside.enter)
        c.used(token)
    with rig.case("by cgroup: a process that is moved there and back, over one connection"):
        for tls in (True, False):
            token = rig.token()
            kept = Kept(c, token, tls, preexec_fn=beside.enter)
            kept.ask(3)
            c.used(token, 3)
            deep.take(kept.process.pid)
            kept.ask(5)
            beside.take(kept.process.pid)
            kept.ask(4)
            c.used(token, 7)
            kept.end()
    with rig.case("include.cgroups: nothing but these; exclude wins"):
        c.hup(include={"cgroups": [f"{top}*"]}, exclude={"cgroups": [f"{top}/l*r"]})
        out, into, wins = rig.token(), rig.token(), rig.token()
        c.ask("wanted", out)
        c.ask("wanted", into, preexec_fn=inside.enter)
        c.ask("wanted", wins, preexec_fn=deep.enter)
        c.used(into)
        ids = c.sensor.ids([out, wins])
        time.sleep(1.2)
        rig.need_equal(c.sensor.uses(ids), [], "uses of what is not included, at either end")
    with rig.case("both lists of include have to agree"):
        c.hup(include={"cgroups": [top], "executables": [c.curl["wanted"]]})
        one, other, both = rig.token(), rig.token(), rig.token()
        c.ask("wanted", one)
        c.ask("left", other, preexec_fn=inside.enter)
        c.ask("wanted", both, preexec_fn=inside.enter)
        c.used(both)
        time.sleep(1.2)
        rig.need_equal(c.sensor.uses(c.sensor.ids([one, other])), [], "uses")


def namespaces(c):
    uid = str(uuid.uuid4())
    pods = "/var/log/pods"
    log = f"{pods}/shop_web-0_{uid}"
    made = [d for d in (pods, log) if not os.path.isdir(d)]
    pod = f"/kubepods-test{os.getpid()}.slice"
    under = uid.replace("-", "_")
    slices = [pod, f"{pod}/kubepods-burstable.slice", f"{pod}/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice"]
    group = f"{slices[-1]}/cri-containerd-{uid.replace('-', '') * 2}.scope"
    try:
        with rig.case("by Kubernetes namespace: undecided and unread until the node knows it"):
            groups = [c.cgroup(s) for s in (*slices, group)]
            c.hup(exclude={"namespaces": ["kube-*", "shop"]})
            was = c.metric("tokentrail_not_reported_total", reason="filter_undecided")
            token = rig.token()
            c.ask("wanted", token, preexec_fn=groups[-1].enter)
            c.unused(token)
            rig.wait_until(lambda: c.metric("tokentrail_not_reported_total", reason="filter_undecided") > was, SECONDS,
                           "undecided calls are counted")
            rig.need("can't decide" in c.sensor.errors(), "and said")
        for d in made:
            os.makedirs(d, exist_ok=True)
        with rig.case("by Kubernetes namespace: a pod's directory tells, other pods and no pods are watched"):
            c.ask("wanted", rig.token(), preexec_fn=groups[-1].enter)  # asks again
            time.sleep(1.2)
            was = c.metric("tokentrail_not_reported_total", reason="filter_undecided")
            token, other = rig.token(), rig.token()
            c.ask("wanted", token, preexec_fn=groups[-1].enter)
            c.ask("wanted", other)
            c.unused(token)
            c.used(other)
            rig.need_equal(c.metric("tokentrail_not_reported_total", reason="filter_undecided"), was, "undecided calls")
            c.hup(include={"namespaces": ["sho?"]})
            token, other = rig.token(), rig.token()
            c.ask("wanted", token, preexec_fn=groups[-1].enter)
            c.ask("wanted", other)
            c.used(token)
            time.sleep(1.2)
            rig.need_equal(c.sensor.uses(c.sensor.ids([other])), [], "uses of what is in no pod")
    finally:
        for d in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(d)


def reload(c):
    with rig.case("a wrong pattern is refused, and the old settings stay"):
        c.hup(want="the new configuration was refused", exclude={"executables": ["curl"]})
        rig.need("'exclude.executables': 'curl' is no path" in c.sensor.errors(), c.sensor.errors()[-300:])
    with rig.case("settings that change under load lose no use of those that stay watched"):
        c.hup(exclude={"executables": ["/nowhere"]})
        token, count = rig.token(), 6000
        kept = [Kept(c, token, tls) for tls in (True, True, False)]
        for k in kept:
            k.ask(10)
        idle = Kept(c, token)
        for k in kept:
            k.process.stdin.write(f"{count}\n")
            k.process.stdin.flush()
        for i in range(6):
            c.hup(exclude={"executables": [f"/nowhere{i}", c.curl["left"]], "cgroups": [f"/no{i}"] if i % 2 else []})
            if i == 2:
                c.hup(want=IN_FORCE + "exclude.executables")  # none at all
        for k in kept:
            rig.need_equal(k.process.stdout.readline(), "done\n", "the client's answer")
        idle.ask(7)
        c.used(token, 3 * (count + 10) + 7)
        for k in (*kept, idle):
            k.end()
    with rig.case("excluded at SIGHUP with connections open, and watched again later"):
        python = c.python
        c.hup(exclude={"executables": ["/nowhere"]})
        for tls in (True, False):
            token = rig.token()
            kept = Kept(c, token, tls, python=python)
            kept.ask(5)
            c.used(token, 5)
            c.hup(exclude={"executables": [python]})
            kept.ask(50)
            c.hup(exclude={"executables": ["/nowhere/*"]})
            kept.ask(6)
            c.used(token, 11)
            kept.end()
    with rig.case("no filter any more"):
        c.hup()
        token = rig.token()
        c.ask("left", token)
        c.used(token)


class Peer(peers.Client):
    """A copy of a program with its library inside, below the directory that is excluded."""

    def __init__(self, c, path, words):  # pylint: disable=super-init-not-called
        self.exe = os.path.join(c.work, "left", path.replace("/", "-"))
        shutil.copy2(peers.program_of(os.path.join(peers.CACHE, path)), self.exe)
        self.process = rig.spawn([self.exe, *words, f"https://localhost:{c.nginx.tls}", c.authority.ca], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def libraries(c):
    """The same connection, first left alone, then watched, then left alone again."""
    for path, words in (("go_std/stripped", ["client", "1"]), ("rustls/peer", ["h1", "rustls"]),
                        ("rustls/peer-stripped", ["h1", "rustls"])):
        with rig.case(f"{path}: left alone, watched, left alone over one connection"):
            c.hup(want="setting=exclude.executables",
                  exclude={"executables": [os.path.join(c.work, "left"), f"/of/{path}"]})
            peer, first, token, last = Peer(c, path, words), rig.token(), rig.token(), rig.token()
            for _ in range(5):
                rig.need_equal(peer.ask("GET", "/a", first)[0], 200, "status")
            time.sleep(1)  # its file is known by now
            c.hup(want="setting=exclude.executables", exclude={"executables": [f"/of/{path}"]})
            for _ in range(5):
                rig.need_equal(peer.ask("GET", "/b", token)[0], 200, "status")
            c.used(token, 5)
            c.hup(want="setting=exclude.executables", exclude={"executables": [os.path.join(c.work, "left")]})
            for _ in range(5):
                rig.need_equal(peer.ask("GET", "/c", last)[0], 200, "status")
            c.unused(last, 5)
            c.unused(first, 5)
            peer.stop()


def at_start(c):
    with rig.case("what ran before the sensor is decided before its first call"):
        c.sensor.stop()
        python = c.python
        wanted, left = rig.token(), rig.token()
        clients = [Kept(c, wanted), Kept(c, left, python=python), Kept(c, wanted, False),
                   Kept(c, left, False, python=python)]
        c.write(exclude={"executables": [os.path.join(c.work, "left")]})
        c.sensor = rig.Sensor(c.work, "--config", c.config, per_call=False)
        for k in clients:
            k.ask(4)
        c.used(wanted, 8)
        c.unused(left, 8)
        c.sensor.stop()
        for k in clients:
            k.end()


def main():
    rig.need_root()
    c = Case()
    try:
        executables(c)
        coverage(c)
        nothing_is_read(c)
        cgroups(c)
        namespaces(c)
        libraries(c)
        reload(c)
        at_start(c)
    finally:
        rig.cleanup()
        for group in reversed(c.cgroups):
            group.remove()
    rig.finish()


if __name__ == "__main__":
    main()
