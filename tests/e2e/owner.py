#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whose tokens are these: pods in real containers, a unit, a person's shell; and what the inventory
keeps of it. The kubelet's directories are made as it makes them; containers are runc's."""
import contextlib
import json
import os
import shlex
import shutil
import sqlite3
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

CTR_RUN = os.path.join(rig.ROOT, "tests", "lib", "ctr-run.sh")


class Made:
    """Directories and files below / that were not there before, and are taken away again."""

    def __init__(self):
        self.paths = []

    def dir(self, path):
        missing = []
        while not os.path.exists(path):
            missing.append(path)
            path = os.path.dirname(path)
        for p in reversed(missing):
            os.mkdir(p)
            self.paths.append(p)

    def file(self, path, text=""):
        self.dir(os.path.dirname(path))
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        self.paths.append(path)

    def remove(self):
        for p in reversed(self.paths):
            with contextlib.suppress(OSError):
                if os.path.isdir(p):
                    os.rmdir(p)
                else:
                    os.unlink(p)


class Fixture:
    def __init__(self, work):
        self.nginx = rig.Nginx(work, rig.Authority(work))
        self.sensor = rig.Sensor(work)

    def use(self, token):
        """The one use of the token that its sender made, and the newest inventory row."""
        token_id = self.sensor.ids([token])[0]
        rig.wait_until(lambda: self.sensor.uses(token_id, "egress"), 15, "the use")
        rows = [r for r in self.sensor.records("token") if r["token"]["id"] == token_id and "owner" in r]
        rig.need(rows, "no row with an owner")
        return self.sensor.uses(token_id, "egress")[0], rows[-1]

    def request(self, token):
        """A program that sends it over plain HTTP to nginx: busybox, so that a container needs no more."""
        return ["busybox", "wget", "-q", "-O", "/dev/null", "--header", f"Authorization: Bearer {token}",
                f"http://127.0.0.1:{self.nginx.plain}/v1/items"]


def container(f, token, uid, cid, annotations=(), state=None):
    env = {**os.environ, "CTR_NET": "host", "CTR_ANNOTATIONS": "\n".join(annotations)}
    if state:
        env["CTR_STATE"] = state
    # It lives long enough to be looked at, as what runs in pods does.
    rig.run([CTR_RUN, uid, cid, "/bin/busybox", "sh", "-c", '"$@"; sleep 1', "sh", *f.request(token)], env=env)


def need_containers():
    if not shutil.which("runc") or not os.path.exists("/bin/busybox"):
        raise rig.Skip("runc or busybox is missing")


def pod_by_bundle(f):
    with rig.case("a pod's container: what runc keeps of its annotations names pod, controller and owner"):
        need_containers()
        made, token, uid, cid = Made(), rig.token(), str(uuid.uuid4()), os.urandom(32).hex()
        secret = rig.token()
        try:
            made.dir("/run/runc")
            container(f, token, uid, cid,
                      ["io.kubernetes.pod.name=cart-6d8f7c9b5d-x2x4z", "io.kubernetes.pod.namespace=shop",
                       "io.kubernetes.container.name=app", "pod-template-hash=6d8f7c9b5d",
                       "example.com/owner=team-cart", f"note={secret}"], "/run/runc")
        finally:
            made.remove()
        use, row = f.use(token)
        rig.need_equal(use["container"], {"id": cid, "name": "app"}, "container")
        rig.need_equal(use["k8s"], {"namespace": "shop", "pod": "cart-6d8f7c9b5d-x2x4z",
                                    "workload": {"kind": "Deployment", "name": "cart"}}, "k8s")
        rig.need_equal((row["owner"]["kind"], row["owner"]["name"], row["owner"]["confidence"]),
                       ("team", "team-cart", "medium"), "owner")
        rig.need("the only one that sends it: Deployment shop/cart" in row["owner"]["evidence"],
                 f"evidence {row['owner']['evidence']}")
        rig.need_equal(row["token"]["state"], "used", "state")
        with open(f.sensor.out_path, encoding="utf-8") as out:
            rig.need(secret not in out.read(), "an annotation went out that nobody asked for")


def pod_by_names(f):
    with rig.case("a pod's container without a bundle: the kubelet's names tell its pod; its shape the Deployment"):
        need_containers()
        made, token, uid, cid = Made(), rig.token(), str(uuid.uuid4()), os.urandom(32).hex()
        try:
            made.dir(f"/var/log/pods/shop_pay-7c9b5d6d8f-z4b2k_{uid}")
            made.file(f"/var/log/containers/pay-7c9b5d6d8f-z4b2k_shop_main-{cid}.log")
            container(f, token, uid, cid)
        finally:
            made.remove()
        use, row = f.use(token)
        rig.need_equal(use["k8s"], {"namespace": "shop", "pod": "pay-7c9b5d6d8f-z4b2k",
                                    "workload": {"kind": "Deployment", "name": "pay"}}, "k8s")
        rig.need_equal(use["container"]["name"], "main", "container's name")
        rig.need_equal((row["owner"]["kind"], row["owner"]["name"], row["owner"]["confidence"]),
                       ("Deployment", "shop/pay", "low"), "owner")


def unknown_pod(f):
    with rig.case("a pod's container of which the node has nothing: no pod, its id for an owner"):
        need_containers()
        token, uid, cid = rig.token(), str(uuid.uuid4()), os.urandom(32).hex()
        container(f, token, uid, cid)
        use, row = f.use(token)
        rig.need("k8s" not in use, f"k8s {use.get('k8s')}")
        rig.need_equal((row["owner"]["kind"], row["owner"]["name"]), ("container", cid), "owner")


@contextlib.contextmanager
def cgroup(path):
    """Made below the cgroup2 mount; gives what puts a command into it."""
    with open("/proc/mounts", encoding="utf-8") as f:
        root = next((line.split()[1] for line in f if line.split()[2] == "cgroup2"), None)
    if not root:
        raise rig.Skip("no cgroup2 hierarchy is mounted here")
    made = []
    try:
        at = root
        for part in path.split("/"):
            at = os.path.join(at, part)
            if not os.path.isdir(at):
                os.mkdir(at)
                made.append(at)
        yield ["sh", "-c", 'echo $$ >"$0" && exec "$@"', os.path.join(at, "cgroup.procs")]
    except OSError as e:
        raise rig.Skip(f"no cgroup can be made here: {e}") from e
    finally:
        for d in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(d)


def unit(f):
    with rig.case("a unit of systemd owns what only its programs send"):
        token = rig.token()
        with cgroup("system.slice/e2e-shop.service") as into:
            rig.run([*into, *f.request(token)])
        use, row = f.use(token)
        rig.need_equal(use["service"], {"name": "e2e-shop.service"}, "service")
        rig.need_equal((row["owner"]["kind"], row["owner"]["name"], row["owner"]["confidence"]),
                       ("unit", "e2e-shop.service", "medium"), "owner")


def person(f):
    with rig.case("a person's shell: user id, session and terminal"):
        token = rig.token()
        # It stays for a moment, as a shell's programs may: whether it has a terminal is known while it lives.
        ask = (f"(printf 'GET /v1/items HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer {token}"
               f"\\r\\n\\r\\n'; sleep 1) | busybox nc 127.0.0.1 {f.nginx.plain}")
        command = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-c", ask]
        with cgroup("user.slice/user-1000.slice/session-7777.scope") as into:
            # script(1) gives it a terminal of its own.
            rig.run([*into, "script", "-qec", shlex.join(command), "/dev/null"])
        _, row = f.use(token)
        rig.need_equal((row["owner"]["kind"], row["owner"]["name"]), ("human", "user 1000"), "owner")
        rig.need("controlling terminal" in stored(f, "SELECT evidence FROM workload WHERE kind = 'human'"),
                 "the terminal is evidence")


def stored(f, sql):
    def read():
        with contextlib.closing(sqlite3.connect(f"file:{f.sensor.state}/store.db?mode=ro", uri=True)) as db:
            rows = db.execute(sql).fetchall()
        return rows and rows[0][0]
    return rig.wait_until(read, 10, sql)


def two(f):
    with rig.case("a token that two workloads send has no owner of theirs, and the row says why at once"):
        token = rig.token()
        for name in ("e2e-a.service", "e2e-b.service"):
            with cgroup(f"system.slice/{name}") as into:
                rig.run([*into, *f.request(token)])
        token_id = f.sensor.ids([token])[0]
        f.sensor.wait_uses(token_id, 4)
        rows = [r for r in f.sensor.records("token") if r["token"]["id"] == token_id]
        rig.need("owner" in rows[-2] and "owner" not in rows[-1], f"rows {rows}")


def store(f):
    with rig.case("the store: workloads by executable, user and container; the view shows state and owner"):
        name = stored(f, "SELECT namespace || '/' || name FROM workload WHERE kind = 'Deployment' "
                         "AND pod = 'cart-6d8f7c9b5d-x2x4z'")
        rig.need_equal(name, "shop/cart", "workload")
        rig.need_equal(stored(f, "SELECT state FROM tokens WHERE owner = 'team-cart'"), "used", "state")


def restart(f, work):
    with rig.case("after a restart a token's story goes on: first use, sums and owner"):
        token = rig.token()
        with cgroup("system.slice/e2e-again.service") as into:
            rig.run([*into, *f.request(token)])
        _, before = f.use(token)
        rig.need_equal(f.sensor.stop(), 0, "status")
        again = rig.Sensor(work, state=f.sensor.state, key=f.sensor.key)
        f.sensor = again
        rig.run(f.request(token))
        token_id = again.ids([token])[0]
        again.wait_uses(token_id, 2)
        row = [r for r in again.records("token") if r["token"]["id"] == token_id][-1]
        rig.need_equal(row["first"], before["first"], "first")
        rig.need(row["uses"] >= 3, f"uses {row['uses']}")
        rig.need("owner" not in row, f"another workload sends it now: {row.get('owner')}")


def main():
    rig.need_root()
    work = rig.work_dir("owner")
    f = Fixture(work)
    pod_by_bundle(f)
    pod_by_names(f)
    unknown_pod(f)
    unit(f)
    person(f)
    two(f)
    store(f)
    restart(f, work)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(f.sensor.stop(), 0, "status")
    rig.finish()


main()
