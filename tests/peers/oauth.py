# SPDX-License-Identifier: Apache-2.0
"""What ../e2e/mint_oauth.py, ../e2e/sdks.py and ../long/keycloak.py share: oidc-provider and OAuth clients as processes,
and what the sensor must say of a token that went from its minting to its end."""
import base64
import json
import os
import subprocess

import peers
import programs
import rig
from mints import seconds

HERE = os.path.dirname(os.path.realpath(__file__))
FRONT = """
		location ~ ^/(token|auth|interaction|api) {{
			proxy_pass {issuer};
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-Proto https;
			proxy_ssl_server_name on;
			proxy_ssl_name localhost;
		}}
"""


def sdk_python():
    return programs.built("sdks", "bin", "python")


def trusting(authority):
    """Every client trusts this test's CA and no other, and asks directly."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return {**env, "NODE_EXTRA_CA_CERTS": authority.ca, "REQUESTS_CA_BUNDLE": authority.ca, "SSL_CERT_FILE": authority.ca}


def feed(argv, secrets, env, seconds=60):
    """A client's answer: one JSON object. It is told the secrets where nobody else can read them."""
    return json.loads(rig.run(argv, stdin=json.dumps(secrets), env=env, seconds=seconds)[1])


def threads_of(pid):
    """Where each thread of a process is: why it does not go on."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        for name in ("comm", "wchan", "syscall"):
            with open(f"/proc/{pid}/task/{thread}/{name}", encoding="utf-8") as f:
                found.append(f.read().strip())
    return found


class Provider:
    """oidc-provider with HTTP/1.1 behind TLS, and nginx in front of it with HTTP/2."""

    def __init__(self, work, authority):
        self.go_client, server = programs.built("oauth_go", "client"), programs.built("oauth", "server.mjs")
        sdk_python()
        self.authority, self.env = authority, trusting(authority)
        self.secrets = {name: rig.random_text(40) for name in ("cart", "mesh", "web", "desk", "wrong_cart", "wrong_mesh")}
        # The port may be somebody's by the time node binds it; and node was seen to start and never listen.
        rig.need(any(self.start(server, os.path.join(work, "provider.log")) for _ in range(3)), "oidc-provider doesn't start")
        self.nginx = rig.Nginx(work, authority, http2=True, more=FRONT.format(issuer=self.issuer))
        self.front = f"https://localhost:{self.nginx.tls}"

    def start(self, server, path):
        """Whether it listens; not if its port is taken."""
        port = rig.free_port()
        self.issuer = f"https://localhost:{port}"
        with open(path, "wb") as log:
            self.process = rig.spawn(["node", server, str(port), self.authority.cert, self.authority.key, self.issuer],
                                     stdin=subprocess.PIPE, stdout=log, stderr=log)
        self.process.stdin.write(json.dumps(self.secrets).encode())
        self.process.stdin.close()
        try:
            rig.wait_until(lambda: self.process.poll() is not None or rig.listening(port), 20, "oidc-provider listens")
        except AssertionError as late:
            print(f"# {late}; its threads: {threads_of(self.process.pid)}")
            self.process.kill()
            self.process.wait()
            return False
        if self.process.poll() is None:
            return True
        with open(path, encoding="utf-8", errors="replace") as log:
            said = log.read()
        rig.need("EADDRINUSE" in said, f"oidc-provider ended: {said[-800:]}")
        return False

    def python(self):
        return feed([sdk_python(), os.path.join(HERE, "sdks", "oauth_client.py"), self.issuer, self.authority.ca],
                    self.secrets, self.env)

    def node(self):
        return feed(["node", os.path.join(peers.CACHE, "oauth", "client.mjs"), self.issuer], self.secrets, self.env)

    def go(self):
        return feed([self.go_client, self.front, self.authority.ca], self.secrets, self.env)


def claims_of(jwt):
    part = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def tokens_in(got):
    """Every text of a client's answer that is a token."""
    if isinstance(got, dict):
        own = [v for k, v in got.items() if k.endswith("_token") and isinstance(v, str)]
        return own + [t for v in got.values() for t in tokens_in(v)]
    return [t for v in got for t in tokens_in(v)] if isinstance(got, list) else []


def as_set(scopes):
    """Their order says nothing (RFC 6749, 3.3)."""
    return scopes and sorted(scopes)


class Story:
    """What the sensor, which has ended, said of tokens; they are asked for by their texts."""

    def __init__(self, sensor, tokens):
        self.sensor = sensor
        self.ids = dict(zip(tokens, sensor.ids(tokens)))
        self.rows = {r["token"]["id"]: r for r in sensor.records("token")}

    def statuses(self, token):
        """Of its uses, by end."""
        return {way: sorted(u["http"]["status"] for u in self.sensor.uses(self.ids[token], way))
                for way in ("egress", "ingress")}

    def events(self, token):
        """Its whole story, as the command line tells it."""
        out = rig.run([rig.TOKENTRAIL, "trace", "--json", "--store", os.path.join(self.sensor.state, "store.db"),
                       self.ids[token]])[1]
        return [r["event"] for r in map(json.loads, out.splitlines()) if r["type"] == "story"]

    def need_records(self, token, part, count):
        """Those in which it is minted, checked and so on: exactly so many, as many of each end."""
        found = [m for m in self.sensor.records("mint")
                 if self.ids[token] in [t["id"] for t in m["tokens"] if t["part"] == part]]
        rig.need_equal([sum(m["direction"] == way for m in found) for way in ("egress", "ingress")], [count // 2] * 2,
                       f"records of each end in which it is {part}")
        return found

    def need_mint(self, token, role, parents, ends=2, **want):
        """It was minted, in this role, from exactly these credentials (a text, or None for any)."""
        life = want.pop("life")
        requested, granted = want.pop("requested", None), want.pop("granted", None)
        audience = want.pop("audience", None)
        versions = want.pop("versions", {"1.1"})
        found = self.need_records(token, "minted", ends)
        for m in found:
            self.need_parents(m, parents)
            mine = [t["role"] for t in m["tokens"] if t["part"] == "minted" and t["id"] == self.ids[token]]
            rig.need_equal((m["action"], m["outcome"], m["http"]["status"], mine), ("mint", "ok", 200, [role]), "what it was")
            rig.need_equal({k: m.get(k) for k in want}, want, "what it was for")
            asked = m.get("requested", {})
            rig.need_equal((asked.get("scopes"), asked.get("audience")), (requested, audience), "what was asked for")
            rig.need_equal(as_set(m["granted"].get("scopes")), as_set(granted), "granted scopes")
            rig.need(abs(seconds(m["granted"]["expires"]) - seconds(m["@timestamp"]) - life) <= 2, "expiry")
        rig.need_equal({m["http"]["version"] for m in found}, versions, "HTTP versions")

    def need_parents(self, mint, parents):
        got = {t["role"]: t["id"] for t in mint["tokens"] if t["part"] == "parent"}
        want = {role: self.ids[t] if t else got.get(role) for role, t in parents.items()}
        rig.need_equal(got, want, "credentials that authorised it")

    def need_failed(self, secret, role, error, ends=2):
        for m in self.need_records(secret, "parent", ends):
            self.need_parents(m, {role: secret})
            rig.need_equal((m["action"], m["outcome"], m["http"]["status"], m["error"]),
                           ("mint", "failed", 401, error), "the refusal")
            rig.need_equal([t for t in m["tokens"] if t["part"] == "minted"], [], "minted")

    def need_checks(self, token, parents, outcomes, ends=2):
        found = self.need_records(token, "checked", ends * len(outcomes))
        for m in found:
            self.need_parents(m, parents)
        for way in ("egress", "ingress"):
            rig.need_equal([m["outcome"] for m in found if m["direction"] == way],
                           [o for o in outcomes for _ in range(ends // 2)], f"checks ({way})")

    def need_revoked(self, token, parents, ends=2):
        for m in self.need_records(token, "revoked", ends):
            self.need_parents(m, parents)
            rig.need_equal((m["action"], m["outcome"]), ("revoke", "ok"), "the revocation")

    def need_state(self, token, state, **want):
        """Its row. life: seconds from its minting to its end, None for an end that nobody told."""
        row = self.rows.get(self.ids[token])
        rig.need(row, "there is a record of the token")
        rig.need_equal(row["token"]["state"], state, "state")
        if "life" in want:
            end, life = row["token"].get("expires"), want.pop("life")
            told = seconds(end) - seconds(row["minted"]["time"]) if end else None
            rig.need(told == life or None not in (told, life) and abs(told - life) <= 2,
                     f"life: got {told}, want {life}")
        minted = {k: self.ids[want.pop(k)] for k in ("parent", "previous") if k in want}
        rig.need_equal({k: row["minted"].get(k) for k in minted}, minted, "what it was made from")
        rig.need_equal(row["uses"], want.pop("uses", 0), "uses")
        if "scopes" in want:
            rig.need_equal(as_set(row["token"].get("scopes")), as_set(want.pop("scopes")), "its scopes")
        rig.need_equal({k: row["token"].get(k) for k in want}, want, "what is known of it")
