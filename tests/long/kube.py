#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes API server: kubectl's and client-go's TokenRequests are joined with the tokens' uses."""
import base64
import json
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402
import rig  # noqa: E402
from mints import both, parts, seconds  # noqa: E402

CLIENT = os.path.join(peers.CACHE, "kube", "peer")
KUBECTL = os.path.join(os.path.dirname(peers.CACHE), "kube-1.34.2", "kubectl")
SUBJECT = "system:serviceaccount:shop:cart"
OWN = "https://kubernetes.default.svc"  # the API server's own audience
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart-0", "namespace": "shop"},
       "spec": {"serviceAccountName": "cart", "containers": [{"name": "cart", "image": "cart"}]}}


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Cluster:
    def __init__(self, work):
        self.env = {**os.environ, "KUBE_DIR": os.path.join(work, "kube"), "KUBE_PORT": str(rig.free_port(3))}
        self.up = os.path.join(rig.ROOT, "tests", "lib", "kube-up.sh")
        self.config = rig.run([self.up, "start"], env=self.env, seconds=180)[1].strip()
        with open(os.path.join(work, "kube", "tokens.csv"), encoding="ascii") as f:
            self.admin = f.read().split(",")[0]

    def kubectl(self, *words, stdin=""):
        return rig.run([self.up, "kubectl", *words], stdin=stdin, env=self.env)[1]

    def prepare(self):
        self.kubectl("create", "namespace", "shop")
        self.kubectl("-n", "shop", "create", "serviceaccount", "cart")
        self.kubectl("-n", "shop", "create", "role", "reader", "--verb=list", "--resource=pods")
        self.kubectl("-n", "shop", "create", "rolebinding", "cart", "--role=reader", "--serviceaccount=shop:cart")
        self.kubectl("create", "-f", "-", stdin=json.dumps(POD))

    def client(self, how, pod, life, audience):
        return json.loads(rig.run([CLIENT, self.config, how, "shop", "cart", pod, str(life), audience])[1])

    def stop(self):
        rig.run([self.up, "stop"], env=self.env)


def minted(sensor, cluster, token, life, audience, lasts=None):
    """The records of both ends, with what is true of all of them."""
    claims, ids = claims_of(token), sensor.ids([token, cluster.admin])
    found = both(sensor, ids[0])
    for m in found.values():
        rig.need_equal((m["method"], m["outcome"], m["http"]["status"]), ("kubernetes_token", "ok", 201), "what it was")
        rig.need_equal((parts(m, "minted"), parts(m, "parent")),
                       ({"access": ids[0]}, {"authorization": ids[1]}), "minted and parent")
        asked = m.get("requested", {})
        rig.need_equal((m["subject"], asked.get("life"), asked.get("audience"), m.get("note")), (SUBJECT, life, audience, None),
                       "asked")
        rig.need(abs(seconds(m["granted"]["expires"]) - claims["iat"] - (lasts or life)) <= 1, "expiry")
    return ids[0], claims


def row_of(sensor, token):
    return [t for t in sensor.records("token") if t["token"]["id"] == token][-1]


def with_claims(sensor, token):
    row = row_of(sensor, token)
    return row if "issuer" in row["token"] else None


def reviewed(sensor, ident):
    for m in both(sensor, ident, "checked").values():
        rig.need_equal((m["method"], m["action"], m["outcome"], m["subject"]), ("kubernetes_review", "check", "ok", SUBJECT),
                       "review")


def by_kubectl(sensor, cluster):
    with rig.case("kubectl create token, then kubectl --token: jti, issuer and expiry of its claims"):
        token = cluster.kubectl("-n", "shop", "create", "token", "cart").strip()
        minted(sensor, cluster, token, None, None, lasts=3600)
        who = cluster.kubectl("--kubeconfig=/dev/null", "--server=https://127.0.0.1:" + cluster.env["KUBE_PORT"],
                              "--insecure-skip-tls-verify", f"--token={token}", "auth", "whoami", "-o", "json")
        rig.need_equal(json.loads(who)["status"]["userInfo"]["username"], SUBJECT, "who the API server says it is")
        ident, claims = sensor.ids([token])[0], claims_of(token)
        rig.need_equal({u["direction"] for u in sensor.wait_uses(ident, 2)}, {"egress", "ingress"}, "uses")
        row = rig.wait_until(lambda: with_claims(sensor, ident), 30, "claims")
        rig.need_equal((row["token"]["jwt_id"], row["token"]["issuer"], row["token"]["audience"]),
                       (claims["jti"], claims["iss"], claims["aud"]), "claims")
        rig.need(abs(seconds(row["token"]["expires"]) - claims["exp"]) <= 1, "expiry")


def by_client_go(sensor, cluster):
    with rig.case("client-go by JSON, for two audiences: minted, used, reviewed"):
        got = cluster.client("json", "", 1800, f"{OWN},vault")
        rig.need_equal((got["served"], got["authenticated"], got["user"]), (True, True, SUBJECT), "what the server says")
        ident, claims = minted(sensor, cluster, got["token"], 1800, f"{OWN} vault")
        uses = sensor.wait_uses(ident, 2)
        rig.need_equal({(u["direction"], u["http"]["version"], u["tls"]["library"]) for u in uses},
                       {("egress", "2", "go"), ("ingress", "2", "go")}, "uses")
        rig.need_equal(row_of(sensor, ident)["token"]["audience"], claims["aud"], "audience")
        reviewed(sensor, ident)
    with rig.case("client-go as it is, by protobuf, for two audiences: minted, used, reviewed"):
        got = cluster.client("protobuf", "", 1800, f"{OWN},vault")
        rig.need_equal((got["served"], got["authenticated"]), (True, True), "what the server says")
        ident = minted(sensor, cluster, got["token"], 1800, f"{OWN} vault")[0]
        rig.need_equal({u["direction"] for u in sensor.wait_uses(ident, 2)}, {"egress", "ingress"}, "uses")
        reviewed(sensor, ident)


def extended(sensor, cluster):
    with rig.case("a pod's token of 3607 s that the API server made last a year is not long-lived"):
        got = cluster.client("protobuf", "cart-0", 3607, "")
        ident, claims = minted(sensor, cluster, got["token"], 3607, None)
        rig.need(claims["exp"] - claims["iat"] > 300 * 86400, "the API server made it last a year")
        warn = claims["kubernetes.io"]["warnafter"]
        rig.need(sensor.wait_uses(ident, 2), "uses")
        row = rig.wait_until(lambda: with_claims(sensor, ident), 30, "claims")
        rig.need(abs(seconds(row["token"]["expires"]) - warn) <= 1, f"expires {row['token']['expires']}, meant {warn}")
        store = os.path.join(sensor.state, "store.db")
        told = rig.wait_until(lambda: rig.run([rig.TOKENTRAIL, "tokens", "--json", "--token", ident, "--store", store],
                                              check=False)[1], 30, "its row in the store")
        rig.need("long_life" not in told, told)


def main():
    rig.need_root()
    d = rig.work_dir("kube")
    # Known before they run: these are over in less time than files of their size take to be looked at.
    programs = [os.path.realpath(peers.program_of(p)) for p in (CLIENT, KUBECTL)]
    sensor = rig.Sensor(d, "--set", "sources.preattach=" + ",".join(programs))
    cluster = Cluster(d)
    try:
        cluster.prepare()
        by_kubectl(sensor, cluster)
        by_client_go(sensor, cluster)
        extended(sensor, cluster)
    finally:
        cluster.stop()
    with rig.case("nothing was lost"):
        sensor.stop()
        rig.need_equal({k: v for k, v in sensor.losses().items() if k.startswith(("mint_", "bad_record"))}, {}, "losses")
    rig.finish()


main()
