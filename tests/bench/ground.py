# SPDX-License-Identifier: Apache-2.0
"""What is measured: servers, each on a copy of libssl of its own, and the clients that drive them with the
same copy. A probe belongs to a file, so one that another variant set, or that was forgotten on the
system's libssl, touches nothing here."""
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile

import meters
import peers  # pylint: disable=import-error
import rig  # pylint: disable=import-error

LOADGEN = os.path.join(rig.TOOLS, "loadgen")
OPENLOAD = os.path.join(rig.TOOLS, "openload")
CONNECTIONS = 16
STREAMS = 8     # of HTTP/2, on each connection


def made_up_jwt(length=900):
    def part(text):
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    start = part('{"alg":"RS256","typ":"JWT"}') + "." + part('{"sub":"bench","pad":"' + rig.random_text(360) + '"}') + "."
    return start + rig.random_text(length - len(start))


def made_up(length):
    """A JWT where one of that length can be, else an opaque token."""
    return made_up_jwt(length) if length >= 600 else rig.random_text(length)


def libssl():
    """The system's libssl, as a program that uses it is given it."""
    out = rig.run(["ldd", LOADGEN])[1]
    return os.path.realpath(re.search(r"libssl\.so\S* => (\S+)", out).group(1))


class Ground:
    """Where to work, with a key for the servers."""

    def __init__(self, work):
        self.work, self.authority = work, rig.Authority(work)


class Bench(Ground):
    """What the tables share: how long and how often to measure, too."""

    def __init__(self, work, opt):
        super().__init__(work)
        self.rounds, self.seconds, self.requests = opt.rounds, opt.seconds, opt.requests
        self.symbols, self.scale = opt.symbols, opt.scale

    def amount(self, share=1.0):
        """Seconds, for tables that measure many things: a share of what is given."""
        return max(0.5, self.seconds * share)

    def few(self):
        """Rounds, for such tables."""
        return max(1, (self.rounds + 1) // 2)


class Site:
    """An nginx with one worker and a copy of the library, or a Go server with a copy of its program."""

    def __init__(self, bench, name, http2=False, go=False, connections=4096, authority=None):
        self.name, self.http2 = name, http2
        self.dir = tempfile.mkdtemp(prefix=f"{name}-", dir=bench.work)
        os.chmod(self.dir, 0o755)
        self.library = os.path.join(self.dir, "libssl.so.3")
        shutil.copy(libssl(), self.library)
        self.env = {**os.environ, "LD_LIBRARY_PATH": self.dir}
        self.token = made_up_jwt()
        authority = authority or bench.authority
        if go:
            self._go(authority)
        else:
            server = rig.Nginx(self.dir, authority, env=self.env, http2=http2, connections=connections)
            self.process, self.pid, self.tls, self.plain = server.process, server.workers[0], server.tls, server.plain

    def _go(self, authority):
        program = os.path.join(self.dir, "server")
        shutil.copy(peers.program_of(peers.GO), program)
        self.tls, self.plain = rig.free_port(), None
        self.process = rig.spawn([program, "http-server", str(self.tls), authority.cert, authority.key])
        self.pid = self.process.pid
        rig.wait_until(lambda: rig.listening(self.tls), 30, "the Go server listens")

    def cpu_seconds(self):
        return meters.cpu_seconds(self.pid)

    def was_probed(self):
        """Has a probe ever been hit in this server? The kernel then has a page in it for what it steps over."""
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as f:
            return "[uprobes" in f.read()

    def stop(self):
        rig.end(self.process)


class Client:
    """An openload that keeps its connections to a site. `made` is (seed, length) of tokens by number;
    without it all connections send `token`, by default the site's."""

    def __init__(self, site, http2=None, tls=True, token=None, connections=CONNECTIONS, streams=STREAMS, each=0, made=None):
        self.site = site
        http2 = site.http2 if http2 is None else http2
        argv = [OPENLOAD, "-c", str(connections)]
        argv += ["-t"] if tls else []
        argv += ["-2", "-m", str(streams)] if http2 else []
        argv += ["-k", str(each)] if each else []
        argv += ["-g", str(made[0]), "-l", str(made[1])] if made else []
        self.process = rig.spawn([*argv, str(site.tls if tls else site.plain)], env=site.env, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(f"{token or site.token}\n\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        rig.need(said.startswith("ready"), f"openload with {connections} connections does not get ready")

    def begin(self, seconds=0, rate=0, requests=0, first=0, count=0):
        self.process.stdin.write(f"run {seconds} {rate} {requests} {first} {count}\n")
        self.process.stdin.flush()

    def result(self):
        said = json.loads(self.process.stdout.readline())
        rig.need_equal((said["failed"], said["unsent"]), (0, 0), f"requests that failed, or were not sent ({said})")
        return said

    def run(self, **amount):
        """What openload says, and the CPU of both ends for each request."""
        before = self.site.cpu_seconds()
        self.begin(**amount)
        said = self.result()
        cpu = self.site.cpu_seconds() - before
        said["rate"] = said["requests"] / said["seconds"]
        said["server_us"] = cpu / said["requests"] * 1e6
        said["cpu_us"] = (cpu + said["cpu_seconds"]) / said["requests"] * 1e6
        return said

    def end(self):
        self.process.stdin.close()
        rig.need_equal(self.process.wait(60), 0, "status of openload")


@contextlib.contextmanager
def fresh(site, **how):
    """A client whose connections began under what stands on the library now, and have been used."""
    client = Client(site, **how)
    client.run(requests=20 * CONNECTIONS)
    yield client
    client.end()
