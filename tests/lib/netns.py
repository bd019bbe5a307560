# SPDX-License-Identifier: Apache-2.0
"""A network namespace of a test's own: link-local addresses and names of cloud services lead into it, so that
unchanged clients find a server where they look for it by themselves. It goes away with its first process."""
import os
import tempfile

import rig

HOLD = ('set -e; mount --bind "$0" /etc/hosts; ip link set lo up; '
        'for a; do ip address add "$a/32" dev lo; done; echo up; exec sleep 3600')


class Namespace:
    """With the addresses on its loopback interface, and an /etc/hosts of {name: address}."""

    def __init__(self, directory, addresses=(), names=None):
        hosts = tempfile.mkstemp(prefix="hosts-", dir=directory)[1]
        os.chmod(hosts, 0o644)
        with open(hosts, "w", encoding="ascii") as f:
            f.writelines(f"{a} {n}\n" for n, a in {"localhost": "127.0.0.1", **(names or {})}.items())
        said = hosts + ".said"
        with open(said, "wb") as out:
            self.holder = rig.spawn(["unshare", "--net", "--mount", "sh", "-c", HOLD, hosts, *addresses],
                                    stdout=out, stderr=out)
        self.prefix = ["nsenter", "-t", str(self.holder.pid), "-n", "-m"]

        def up():
            with open(said, encoding="utf-8") as f:
                text = f.read()
            rig.need(self.holder.poll() is None, f"no network namespace: {text}")
            return text.endswith("up\n")
        rig.wait_until(up, 10, "a network namespace")

    def listening(self, port, address="127.0.0.1"):
        return rig.listening(port, address, self.holder.pid)

    def spawn(self, argv, **kw):
        return rig.spawn([*self.prefix, *argv], **kw)

    def run(self, argv, **kw):
        return rig.run([*self.prefix, *argv], **kw)

    def stop(self):
        rig.end(self.holder)
