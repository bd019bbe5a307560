#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a JWT says of itself is known as soon as a real client uses it, by HTTP/1 and HTTP/2; a person only
as a hash; of an unsigned one nothing; two texts that verify alike have one signed id."""
import base64
import json
import os
import secrets
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

NOW = int(time.time())


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(payload, header=None, signature=None):
    """Signed by nobody: tokentrail verifies nothing. 64 bytes leave four bits of the last character unused."""
    header = {"alg": "ES256", "kid": "k1", "typ": "JWT"} if header is None else header
    parts = [b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload)]
    return ".".join(parts + [b64(secrets.token_bytes(64)) if signature is None else signature])


def use(authority, nginx, token, *more):
    out = rig.run(["curl", "-sS", "--cacert", authority.ca, "-o", "/dev/null", "-w", "%{http_code}", *more, "-H",
                   f"Authorization: Bearer {token}", f"https://localhost:{nginx.tls}/v1/items"])[1]
    rig.need_equal(out, "200", "status")


def told(sensor, token, *, count=1):
    """The inventory's last row of a token that was used."""
    token_id = sensor.ids([token])[0]
    rig.need(sensor.wait_uses(token_id, count), "its use is seen")

    def row():
        rows = [r for r in sensor.records("token") if r["token"]["id"] == token_id and r["token"].get("signed_id")]
        return rows[-1] if rows else None
    return rig.wait_until(row, 10, "its row tells what is known")


def time_of(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def pod():
    """As the kubelet has it from an API server with its defaults: a year, and what was meant."""
    return {"aud": ["https://kubernetes.default.svc.cluster.local"], "exp": NOW + 31536000, "iat": NOW,
            "iss": "https://kubernetes.default.svc.cluster.local", "jti": "5f5b5a5e-1111-4222-8333-" + "0" * 12,
            "kubernetes.io": {"namespace": "shop", "node": {"name": "node-1", "uid": "u1"},
                              "pod": {"name": "cart-7d9f", "uid": "u2"},
                              "serviceaccount": {"name": "cart", "uid": "u3"}, "warnafter": NOW + 3607},
            "nbf": NOW, "sub": "system:serviceaccount:shop:cart"}


def kubernetes(sensor, authority, nginx):
    for version in ("--http1.1", "--http2"):
        with rig.case(f"a default pod token lives an hour, not a year ({version[2:]})"):
            token = jwt(pod())
            use(authority, nginx, token, version)
            row = told(sensor, token)
            rig.need_equal(row["token"]["class"], "k8s_sa_bound", "class")
            rig.need_equal(row["token"]["kind"], "service_account", "kind")
            rig.need(row["token"]["expires"].startswith(time_of(NOW + 3607)), row["token"]["expires"])
            rig.need_equal(row["token"]["expiry_rule"], "warnafter", "rule")
            rig.need_equal(row["token"]["subject"], "system:serviceaccount:shop:cart", "subject")
            rig.need_equal(row["token"]["subject_kind"], "machine", "subject kind")
            rig.need_equal(row["k8s"]["service_account"], "cart", "service account")
            rig.need_equal(row["k8s"]["pod"], "cart-7d9f", "pod")
            rig.need("long_lived" not in json.dumps(row), "it is called long-lived")


def persons(sensor, authority, nginx):
    with rig.case("a person is told as a hash, and what is on no list not at all"):
        token = jwt({"iss": "https://issuer.test", "sub": "jane.doe", "email": "jane.doe@people.test",
                     "nonce": "unlisted-nonce", "salary": "unlisted-salary", "scope": "read write",
                     "exp": NOW + 600, "jti": secrets.token_hex(8)})
        use(authority, nginx, token)
        row = told(sensor, token)
        rig.need(row["token"]["subject"].startswith("tth1_"), row["token"]["subject"])
        rig.need_equal(row["token"]["subject_kind"], "human", "subject kind")
        rig.need_equal(row["token"]["scopes"], ["read", "write"], "scopes")
        rig.need(row["token"]["expires"].startswith(time_of(NOW + 600)), row["token"]["expires"])
        text = json.dumps(sensor.records("token") + sensor.records())
        for secret in ("jane", "people.test", "unlisted", *token.split(".")):
            rig.need(secret not in text, f"{secret} came out")


def unsigned(sensor, authority, nginx):
    for name, header, signature, note in (
            ("alg none", {"alg": "none"}, "", "alg_none"), ("alg nOnE with a signature", {"alg": "nOnE"}, None, "alg_none"),
            ("no signature", {"alg": "RS256"}, "", "unsigned"),
            ("an escape in the header", {"alg": "RS256", "kid": "\u00e9"}, None, "claims_withheld")):
        with rig.case(f"{name}: class and finding, and none of its text"):
            secret = secrets.token_hex(16)
            token = jwt({"iss": f"https://{secret}.test", "sub": secret, "exp": NOW + 60}, header, signature)
            use(authority, nginx, token)
            row = told(sensor, token)
            rig.need_equal(row["token"]["class"], "jwt", "class")
            rig.need_equal(row["token"]["length"], len(token), "length")
            rig.need(note in row["token"]["notes"], f"notes {row['token']['notes']}")
            for fact in ("issuer", "subject", "expires", "claims"):
                rig.need(fact not in row["token"], f"its {fact} was told")
            text = json.dumps(sensor.records("token") + sensor.records())
            rig.need(secret not in text and token.split(".")[1][12:] not in text, "its text came out")


def other_shapes(sensor, authority, nginx):
    with rig.case("an installation token with a JWT in it is that, and no JWT"):
        # About 520 bytes, as GitHub's are.
        token = "ghs" + "_1234567_" + jwt({"iss": "x", "sub": "hidden-subject", "pad": "x" * 240})
        use(authority, nginx, token)
        uses = sensor.wait_uses(sensor.ids([token])[0], 1)
        rig.need_equal({u["token"]["class"] for u in uses}, {"github_app_installation"}, "class")
        rig.need("hidden-subject" not in json.dumps(sensor.records("token")), "its claims came out")


def malleable(sensor, authority, nginx):
    with rig.case("two texts that verify alike: two ids, one signed id, and trace finds both by it"):
        token = jwt({"iss": "https://issuer.test", "sub": "svc-a", "jti": "m1"})
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        other = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
        rig.need_equal(base64.urlsafe_b64decode(token.split(".")[2] + "=="),
                       base64.urlsafe_b64decode(other.split(".")[2] + "=="), "signature")
        for t in (token, other):
            use(authority, nginx, t)
        rows = [told(sensor, t) for t in (token, other)]
        rig.need(rows[0]["token"]["id"] != rows[1]["token"]["id"], "two texts have one id")
        rig.need_equal(rows[0]["token"]["signed_id"], rows[1]["token"]["signed_id"], "signed id")
        rig.need_equal(rows[0]["token"]["lineage"], rows[1]["token"]["lineage"], "lineage")
        store = ["--store", os.path.join(sensor.state, "store.db")]
        ids = {r["token"]["id"] for r in rows}
        made = json.loads(rig.run([rig.TOKENTRAIL, "fingerprint", "--json", "--key", sensor.key],
                                  stdin=other + "\n")[1])
        rig.need_equal(made["signed_id"], rows[0]["token"]["signed_id"], "fingerprint's signed id")

        def traced(asked):
            out = rig.run([rig.TOKENTRAIL, "trace", "--json", *store, asked], check=False)[1]
            return {r["token"]["id"] for r in map(json.loads, out.splitlines()) if r["type"] == "token"}
        rig.wait_until(lambda: traced(rows[0]["token"]["signed_id"]) == ids, 10, "trace finds both by the signed id")
        for one in ids:
            rig.need_equal(traced(one), {one}, "trace by an id")
        text = rig.run([rig.TOKENTRAIL, "trace", *store, rows[0]["token"]["id"]])[1]
        rig.need("https://issuer.test" in text and "svc-a" in text, "trace shows issuer and subject")


def after_a_restart(work, authority, nginx):
    with rig.case("an agent that was started again, and has no store, is told anew what a token says of itself"):
        sensor = rig.Sensor(work, "--set", "store.enabled=false")
        token = jwt({"iss": "https://issuer.test", "sub": "svc-again", "jti": secrets.token_hex(8)})
        use(authority, nginx, token)
        told(sensor, token)
        before, first = len(sensor.records("token")), sensor.agent
        os.kill(first, signal.SIGKILL)
        rig.wait_until(lambda: rig.children(sensor.monitor) not in ([], [first]), 20, "another agent")
        use(authority, nginx, token)
        told(sensor, token, count=2)
        rows = [r["token"] for r in sensor.records("token")[before:] if r["token"].get("subject") == "svc-again"]
        rig.need(rows, "no row of the new agent's has its subject")
        sensor.stop()


def main():
    rig.need_root()
    work = rig.work_dir("claims")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, http2=True)
    sensor = rig.Sensor(work)
    kubernetes(sensor, authority, nginx)
    persons(sensor, authority, nginx)
    unsigned(sensor, authority, nginx)
    other_shapes(sensor, authority, nginx)
    malleable(sensor, authority, nginx)
    after_a_restart(work, authority, nginx)
    with rig.case("each was told once, and nothing is lost"):
        rig.need_equal({r: n for r, n in sensor.losses().items() if r.startswith("claims")}, {}, "losses")
    rig.finish()


main()
