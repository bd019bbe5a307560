#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who is who: the two processes' rights, programs and libraries that appear while the sensor runs,
containers, users, address families; and no use where there was none."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error


def rights(sensor):
    with rig.case("the agent: own user, no capability, no new privileges, seccomp, not dumpable"):
        rig.need_unprivileged(sensor.agent)
        # The kernel gives the files of a process that is not dumpable to root.
        rig.need_equal(os.stat(f"/proc/{sensor.agent}/mem").st_uid, 0, "owner of its mem file")
    with rig.case("the agent holds no descriptor of a BPF program or link, and no network socket"):
        held = []
        for name in os.listdir(f"/proc/{sensor.agent}/fd"):
            with contextlib.suppress(OSError):
                held.append(os.readlink(f"/proc/{sensor.agent}/fd/{name}"))
        rig.need(not [h for h in held if re.search("bpf-prog|bpf_link|perf_event|/proc", h)], f"descriptors {held}")
        inodes = {h[len("socket:["):-1] for h in held if h.startswith("socket:[")}
        for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            with open(f"/proc/{sensor.agent}/net/{table}", encoding="ascii") as f:
                rig.need(not inodes & {line.split()[9] for line in list(f)[1:]}, f"a socket of {table}")
    with rig.case("the state directory is the agent's, and nobody else reads it"):
        st = os.stat(sensor.state)
        rig.need_equal(st.st_uid, int(rig.status_of(sensor.agent)["Uid"].split()[0]), "owner")
        for name in os.listdir(sensor.state):
            mode = os.stat(os.path.join(sensor.state, name)).st_mode & 0o007
            rig.need(st.st_mode & 0o005 == 0 or mode == 0, f"others may read {name}")


def curl(authority, port, token, prefix=(), env=None):
    rig.run([*prefix, "curl", "-sS", "--http1.1", "--cacert", authority.ca, "-o", "/dev/null", "-H",
             f"Authorization: Bearer {token}", f"https://localhost:{port}/v1/items"], env=env)


def one(sensor, token, direction):
    token_id = sensor.ids([token])[0]
    sensor.wait_uses(token_id, 2)
    uses = sensor.uses(token_id, direction)
    rig.need_equal(len(uses), 1, f"{direction} uses")
    return uses[0]


def new_library(sensor, authority, work):
    with rig.case("a library that nobody mapped before is probed when nginx maps it"):
        lib = os.path.join(work, "lib")
        os.mkdir(lib)
        out = rig.run(["ldd", os.path.join(rig.TOOLS, "lockstep")])[1]
        shutil.copy(os.path.realpath(re.search(r"libssl\.so\S* => (\S+)", out).group(1)),
                    os.path.join(lib, "libssl.so.3"))
        env = {**os.environ, "LD_LIBRARY_PATH": lib}
        nginx = rig.Nginx(work, authority, env=env)
        time.sleep(1)
        token = rig.token()
        curl(authority, nginx.tls, token, env=env)
        rig.need(one(sensor, token, "ingress")["process"]["pid"] in nginx.workers, "process.pid")
        one(sensor, token, "egress")
        nginx.stop()


def static_program(sensor, authority):
    with rig.case("OpenSSL inside a static program is probed: all its requests but those of the first moment"):
        path = os.path.join(rig.TOOLS, "lockstep-static")
        rig.need(os.path.exists(path), f"{path} was not built")
        for attempt in range(2):
            token = rig.token()
            head = f"GET /v1/items HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
            did = json.loads(rig.run([path, "tls", "two", authority.cert, authority.key], stdin=head)[1])
            if attempt == 0:
                time.sleep(1)
        token_id = sensor.ids([token])[0]
        uses = sensor.wait_uses(token_id, 2 * did["requests"])
        rig.need_equal([rig.total(u for u in uses if u["direction"] == d) for d in ("egress", "ingress")],
                       [did["requests"]] * 2, "uses once the file is known")
        rig.need_equal({u["process"]["executable"] for u in uses}, {os.path.realpath(path)}, "executable")
        rig.need_equal({u["process"]["pid"] for u in uses}, {did["client"], did["server"]}, "pids")


def cgroup2():
    with open("/proc/mounts", encoding="utf-8") as f:
        return next((line.split()[1] for line in f if line.split()[2] == "cgroup2"), None)


def container(sensor, authority, nginx):
    with rig.case("a process in a container's cgroup is reported with the container's id"):
        root = cgroup2()
        if not root:
            raise rig.Skip("no cgroup2 hierarchy is mounted here")
        cid = os.urandom(32).hex()
        made = [os.path.join(root, p) for p in ("kubepods-e2e", "kubepods-e2e/pod" + os.urandom(8).hex())]
        made.append(os.path.join(made[-1], cid))
        try:
            for d in made:
                os.mkdir(d)
        except OSError as e:
            raise rig.Skip(f"no cgroup can be made here: {e}") from e
        try:
            token = rig.token()
            curl(authority, nginx.tls, token, prefix=["sh", "-c", 'echo $$ >"$0" && exec "$@"',
                                                      os.path.join(made[-1], "cgroup.procs")])
            rig.need_equal(one(sensor, token, "egress").get("container"), {"id": cid}, "container")
            rig.need("container" not in one(sensor, token, "ingress"), "nginx is in no container")
        finally:
            for d in reversed(made):
                with contextlib.suppress(OSError):
                    os.rmdir(d)


def user(sensor, authority, nginx):
    with rig.case("the user id is that of the process"):
        token = rig.token()
        curl(authority, nginx.tls, token, prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        rig.need_equal(one(sensor, token, "egress")["process"]["user"], {"id": 65534}, "user")


def ipv6(sensor):
    with rig.case("addresses of an IPv6 connection"):
        token = rig.token()
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError as e:
            raise rig.Skip(f"no IPv6 here: {e}") from e
        port = listener.getsockname()[1]
        client = socket.create_connection(("::1", port))
        server, _ = listener.accept()
        client.sendall(f"GET / HTTP/1.1\r\nHost: [::1]:{port}\r\nX-Api-Key: {token}\r\n\r\n".encode())
        server.recv(4096)
        server.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        client.recv(4096)
        mine = client.getsockname()[1]
        out, into = one(sensor, token, "egress"), one(sensor, token, "ingress")
        rig.need_equal(out["peer"], {"ip": "::1", "port": port}, "egress peer")
        rig.need_equal(into["peer"], {"ip": "::1", "port": mine}, "ingress peer")
        rig.need_equal(out["server"]["port"], port, "server.port")
        for s in (client, server, listener):
            s.close()


def no_use(sensor):
    with rig.case("a head in a file or a pipe is no use"):
        token = rig.token()
        head = f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        with open(os.path.join(sensor.dir, "file"), "w+b", buffering=0) as f:
            f.write(head)
            f.seek(0)
            rig.need_equal(f.read(), head, "what was written")
        r, w = os.pipe()
        os.write(w, head)
        os.read(r, 4096)
        os.close(r)
        os.close(w)
        time.sleep(1.5)
        rig.need_equal(sensor.uses(sensor.ids([token])), [], "uses")


def threads(sensor, nginx):
    with rig.case("50 threads of one process, each its own token: each once in each direction"):
        tokens = [rig.token() for _ in range(50)]
        barrier = threading.Barrier(len(tokens))

        def call(token):
            with socket.create_connection(("127.0.0.1", nginx.plain)) as s:
                barrier.wait(20)
                s.sendall(f"GET /v1/items HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
                s.recv(4096)

        workers = [threading.Thread(target=call, args=(t,)) for t in tokens]
        for t in workers:
            t.start()
        for t in workers:
            t.join(30)
        ids = sensor.ids(tokens)
        sensor.wait_uses(ids, 2 * len(ids))
        for token_id in ids:
            got = sorted((u["direction"], u["http"].get("status"), u["process"]["pid"] == os.getpid())
                         for u in sensor.uses(token_id))
            rig.need_equal(got, [("egress", 200, True), ("ingress", 200, False)], "uses")


def reload(sensor, config, nginx, authority):
    with rig.case("SIGHUP: a bad configuration is named and the old one stays; a good one is taken"):
        def write(text):
            with open(config, "w", encoding="ascii") as f:
                f.write(text)
            os.kill(sensor.monitor, signal.SIGHUP)

        write("kafka:\n  brokrs: a:1\n")
        rig.wait_until(lambda: f"{config}:2:3" in sensor.errors(), 10, "the place of the error is said")
        token = rig.token()
        curl(authority, nginx.tls, token)
        one(sensor, token, "egress")
        write("output:\n  fold_interval: 500\n")
        time.sleep(1)
        token = rig.token()
        curl(authority, nginx.tls, token)
        one(sensor, token, "egress")


def main():
    rig.need_root()
    work = rig.work_dir("processes")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    config = os.path.join(work, "processes.yaml")
    with open(config, "w", encoding="ascii") as f:
        f.write("output:\n  fold_interval: 1s\n")
    sensor = rig.Sensor(work, "--config", config)
    rights(sensor)
    new_library(sensor, authority, work)
    static_program(sensor, authority)
    container(sensor, authority, nginx)
    user(sensor, authority, nginx)
    ipv6(sensor)
    no_use(sensor)
    threads(sensor, nginx)
    reload(sensor, config, nginx, authority)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    rig.finish()


main()
