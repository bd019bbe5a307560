#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs and libraries in unusual places: musl, a library that is loaded late, one that was deleted or
replaced, one in another mount namespace, one that two containers share through overlayfs, a container of
runc's, a program without a file name. Each request is seen once, with the path that the program has for
itself."""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import programs  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

BRIEF, STATIC = os.path.join(rig.TOOLS, "brief"), os.path.join(rig.TOOLS, "brief-static")
LIBSSL = "libssl.so.3"
LATE = """
import sys
print("started", flush=True)
sys.stdin.readline()
import http.client, ssl
print("loaded", flush=True)
for line in sys.stdin:
    port, token = line.split()
    c = http.client.HTTPSConnection("localhost", int(port), context=ssl._create_unverified_context())
    c.request("GET", "/late", headers={"Authorization": "Bearer " + token})
    c.getresponse().read()
    c.close()
    print("asked", flush=True)
"""


def system_libssl():
    out = rig.run(["ldd", BRIEF])[1]
    return os.path.realpath(next(line.split()[2] for line in out.splitlines() if LIBSSL in line))


def copied(work, name):
    """A directory with a copy of libssl, which nobody knows yet."""
    where = os.path.join(work, name)
    os.mkdir(where)
    shutil.copy(system_libssl(), os.path.join(where, LIBSSL))
    return where


def seen(sensor, tokens, requests, executable=None):
    """Each token's requests were seen at both ends, each once."""
    for token, token_id in zip(tokens, sensor.ids(tokens)):
        sensor.wait_uses(token_id, 2 * requests)
        out = sensor.uses(token_id, "egress")
        rig.need_equal(rig.total(out), requests, f"requests of {token[:6]}... seen at the client")
        rig.need_equal(rig.total(sensor.uses(token_id, "ingress")), requests, "and at the server")
        if executable:
            rig.need_equal({u["process"].get("executable") for u in out}, {executable}, "process.executable")


def run_twice(argv, port, env=None):
    """The first run makes a file known that nobody knew; the second one's token."""
    for attempt in range(2):
        token = rig.token()
        rig.run([*argv, str(port), "3", token], env={**os.environ, **(env or {})})
        if attempt == 0:
            time.sleep(1)
    return token


class Late:
    """A program that runs already and loads the library when it is told to."""

    def __init__(self, libraries):
        self.process = rig.spawn([sys.executable, "-c", LATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True, env={**os.environ, "LD_LIBRARY_PATH": libraries})
        self.heard("started")

    def heard(self, word):
        rig.need_equal(self.process.stdout.readline().strip(), word, "what the program says")

    def say(self, line, answer):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.heard(answer)

    def load(self):
        self.say("", "loaded")

    def ask(self, port):
        token = rig.token()
        self.say(f"{port} {token}", "asked")
        return token

    def end(self):
        self.process.stdin.close()
        rig.need_equal(self.process.wait(20), 0, "status")


def is_mapped(late, where):
    with open(f"/proc/{late.process.pid}/maps", encoding="utf-8") as f:
        return where in f.read()


def deleted_before(work, nginx):
    """Starts a program whose library is gone before the sensor comes."""
    where = copied(work, "before")
    late = Late(where)
    late.load()
    rig.need(is_mapped(late, where), "the program has the copied library")
    os.unlink(os.path.join(where, LIBSSL))
    late.ask(nginx.tls)
    return late


def loaded_late(sensor, work, nginx):
    with rig.case("a library that a running program loads"):
        where = copied(work, "late")
        late = Late(where)
        late.load()
        rig.need(is_mapped(late, where), "the program has the copied library")
        time.sleep(1)
        seen(sensor, [late.ask(nginx.tls)], 1)
        late.end()


def deleted_and_replaced(sensor, work, nginx, before):
    with rig.case("a library that was deleted before the sensor came"):
        seen(sensor, [before.ask(nginx.tls)], 1)
        before.end()
    with rig.case("a library that is deleted and replaced: the old program and a new one"):
        where = copied(work, "replaced")
        old = Late(where)
        old.load()
        os.unlink(os.path.join(where, LIBSSL))
        shutil.copy(system_libssl(), os.path.join(where, LIBSSL))
        new = Late(where)
        new.load()
        time.sleep(1)
        seen(sensor, [old.ask(nginx.tls), new.ask(nginx.tls), old.ask(nginx.tls)], 1)
        old.end()
        new.end()
    with rig.case("a program that was replaced by another one of its name"):
        path = os.path.join(work, "upgraded")
        shutil.copy(STATIC, path)
        seen(sensor, [run_twice([path], nginx.tls)], 3, path)
        os.unlink(path)
        shutil.copy(STATIC, path)
        seen(sensor, [run_twice([path], nginx.tls)], 3, path)


def mount_namespace(sensor, work, nginx):
    with rig.case("a program in a mount of another mount namespace"):
        where = os.path.join(work, "mount")
        os.mkdir(where)
        inside = os.path.join(where, "hidden")
        script = ('mount -t tmpfs none "$0" && cp "$1" "$0/hidden" && for i in 1 2; do "$0/hidden" "$2" 3 "$3"; '
                  'sleep 1; set -- "$1" "$2" "$4"; done')
        first, second = rig.token(), rig.token()
        rig.run(["unshare", "-m", "--propagation", "private", "sh", "-c", script, where, STATIC, str(nginx.tls),
                 first, second])
        rig.need(not os.path.exists(inside), "the program is not to be seen from here")
        seen(sensor, [second], 3, inside)


def overlay(sensor, work, nginx):
    with rig.case("two overlays on one lower layer: one use each, not two; and after a copy-up too"):
        low = os.path.join(work, "low")
        os.mkdir(low)
        shutil.copy(STATIC, os.path.join(low, "program"))
        merged = []
        try:
            for i in range(2):
                up, of_kernel, to = (os.path.join(work, f"{n}{i}") for n in ("up", "kernel", "merged"))
                for d in (up, of_kernel, to):
                    os.mkdir(d)
                rc, _, err = rig.run(["mount", "-t", "overlay", "overlay", "-o",
                                      f"lowerdir={low},upperdir={up},workdir={of_kernel}", to], check=False)
                if rc != 0:
                    raise rig.Skip(f"no overlayfs here: {err.strip()}")
                merged.append(to)
            paths = [os.path.join(m, "program") for m in merged]
            for path in (*paths, *paths):
                seen(sensor, [run_twice([path], nginx.tls)], 3, path)
            os.utime(paths[0])
            seen(sensor, [run_twice([path], nginx.tls) for path in paths], 3)
            with rig.case("probed files keep no mount busy"):
                for m in merged:
                    rig.run(["umount", m])
                merged.clear()
        finally:
            for m in merged:
                rig.run(["umount", "-l", m])


def own_mounts(work, nginx):
    """As under the systemd unit, where mounts are shared with the sensor's namespace."""
    with rig.case("a sensor with mounts of its own keeps none of the others' busy"):
        base = os.path.join(work, "base")
        where, path = os.path.join(base, "volume"), os.path.join(base, "volume", "program")
        os.mkdir(base)
        rig.run(["mount", "-t", "tmpfs", "none", base])
        rig.run(["mount", "--make-shared", base])
        os.mkdir(where)
        sensor = rig.Sensor(work, prefix=["unshare", "-m", "--propagation", "slave"])
        try:
            rig.run(["mount", "-t", "tmpfs", "none", where])
            shutil.copy(STATIC, path)
            seen(sensor, [run_twice([path], nginx.tls)], 3, path)
            rig.run(["umount", where])
        finally:
            rig.run(["umount", "-lR", base], check=False)
            rig.need_equal(sensor.stop(), 0, "status")


def container(sensor, nginx):
    with rig.case("a container of runc's: its requests once, with its id"):
        if not shutil.which("runc"):
            raise rig.Skip("no runc here")
        cid, token = os.urandom(32).hex(), rig.token()
        # The root file system is made anew, so the file is not known: the first ones are missed. The others take a second.
        requests = 20000
        rc, _, err = rig.run([os.path.join(rig.ROOT, "tests", "lib", "ctr-run.sh"), "2c4e28ba-2fa1-11d2-883f-0016d3cca427",
                              cid, STATIC, str(nginx.tls), str(requests), token], check=False,
                             env={**os.environ, "CTR_NET": "host"})
        if rc != 0:
            raise rig.Skip(f"no container can be run here: {err.strip()[-200:]}")
        token_id = sensor.ids([token])[0]
        sensor.wait_settled(token_id)
        out = sensor.uses(token_id, "egress")
        rig.need(0 < rig.total(out) <= requests, f"{rig.total(out)} of {requests} requests seen")
        rig.need_equal({(u["container"]["id"], u["process"].get("executable")) for u in out},
                       {(cid, os.path.realpath(STATIC))}, "container, executable")


def memfd(sensor, nginx):
    with rig.case("a program in memory, without a file name"):
        fd = os.memfd_create("unnamed")
        with open(STATIC, "rb") as f:
            os.write(fd, f.read())
        for _ in range(2):
            token = rig.token()
            pid = os.fork()
            if pid == 0:
                os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
                os.execve(fd, ["unnamed", str(nginx.tls), "3", token], os.environ)
            rig.need_equal(os.waitpid(pid, 0)[1], 0, "status")
            time.sleep(1)
        os.close(fd)
        seen(sensor, [token], 3)


def musl(sensor, work, nginx):
    with rig.case("a program of musl's, with a libssl made for musl"):
        where = os.path.join(work, "musl")
        shutil.copytree(programs.built("musl"), where)
        path = os.path.join(where, "brief")
        seen(sensor, [run_twice([path], nginx.tls, {"LD_LIBRARY_PATH": where})], 3, path)


def main():
    rig.need_root()
    work = rig.work_dir("finding")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    before = deleted_before(work, nginx)
    sensor = rig.Sensor(work)
    loaded_late(sensor, work, nginx)
    deleted_and_replaced(sensor, work, nginx, before)
    mount_namespace(sensor, work, nginx)
    overlay(sensor, work, nginx)
    container(sensor, nginx)
    memfd(sensor, nginx)
    musl(sensor, work, nginx)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    own_mounts(work, nginx)
    rig.finish()


main()
