#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Vault and hvac, its Python client: logins by a role and by a password, uses, a revocation."""
import json
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402
import rig  # noqa: E402
from mints import both, parts, seconds  # noqa: E402

PYTHON = os.path.join(peers.CACHE, "cloud", "bin", "python")
SDK = os.path.join(peers.HERE, "cloud", "sdk.py")


def start(work, program):
    """Vault's own development server, with TLS; its address, its CA and its first token."""
    port, root = rig.free_port(), rig.random_text(40)
    log = os.path.join(work, "vault.log")
    with open(log, "wb") as out:
        server = rig.spawn([program, "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={work}", "-dev-no-store-token",
                            f"-dev-root-token-id={root}", f"-dev-listen-address=127.0.0.1:{port}"],
                           stdout=out, stderr=out, env={"PATH": os.environ["PATH"], "HOME": work})

    def listens():
        with open(log, encoding="utf-8", errors="replace") as f:
            rig.need(server.poll() is None, f"vault ended: {f.read()[-300:]}")
        return rig.listening(port)
    rig.wait_until(listens, 60, "vault listens")
    return f"https://127.0.0.1:{port}", os.path.join(work, "vault-ca.pem"), root


def login(sensor, got, secret, role):
    """One login's token: what it was made from and for, and its use."""
    token, parent = sensor.ids([got["token"], secret])
    for m in both(sensor, token).values():
        rig.need_equal((m["method"], m["outcome"], m["http"]["status"]), ("vault_auth", "ok", 200), "what it was")
        rig.need_equal((parts(m, "minted"), parts(m, "parent")), ({"access": token}, {role: parent}), "minted and parent")
        rig.need_equal(sorted(m["granted"]["scopes"]), sorted(got["policies"]), "policies")
        rig.need(abs(seconds(m["granted"]["expires"]) - got["at"] - got["life"]) < 10, "expiry")
    uses = sensor.wait_uses(token, 2)
    rig.need_equal({(u["direction"], u["token"]["carrier"], u["token"].get("class")) for u in uses},
                   {(d, "x-vault-token", "vault_service") for d in ("egress", "ingress")}, "uses")
    return token, parent


def main():
    rig.need_root()
    d = rig.work_dir("vault")
    program = rig.run([os.path.join(rig.ROOT, "tests", "lib", "vault-up.sh"), "build"])[1].strip()
    sensor = rig.Sensor(d, "--set", f"sources.preattach={program}")
    base, ca, root = start(d, program)
    got = json.loads(rig.run([PYTHON, SDK, "vault", base, ca], stdin=root + "\n",
                             env={"PATH": os.environ["PATH"], "HOME": d})[1])
    with rig.case("approle: the login's token, whose parent was minted before it"):
        _, secret = login(sensor, got["approle"], got["secret"], "body:secret_id")
        made = both(sensor, secret)
        rig.need_equal({m["method"] for m in made.values()}, {"vault_auth"}, "the secret id's mint")
        rig.need_equal({parts(m, "parent")["x-vault-token"] for m in made.values()}, set(sensor.ids([root])), "its parent")
    with rig.case("userpass: the login's token, and its end by revoke-self"):
        token, _ = login(sensor, got["userpass"], got["password"], "body:password")
        rig.need_equal({(m["method"], m["action"]) for m in both(sensor, token, "revoked").values()},
                       {("vault_revoke", "revoke")}, "revocation")
        rig.wait_until(lambda: any(t["token"]["id"] == token and "revoked" in t for t in sensor.records("token")), 10,
                       "the token is told revoked")
    with rig.case("nothing was lost"):
        sensor.stop()
        rig.need_equal({k: v for k, v in sensor.losses().items() if k.startswith(("mint_", "bad_record"))}, {}, "losses")
    rig.finish()


main()
