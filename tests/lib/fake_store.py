#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a store of made-up but likely data, always the same: for the tests of the report, and for the
picture in the README.

    tests/lib/fake_store.py FILE [--tokens N] [--now SECONDS] [--hostile]
"""
import argparse
import base64
import hashlib
import os
import random
import sqlite3

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
NOW = 1764072000  # 2025-11-25T12:00:00Z
S, HOUR, DAY = 10**9, 3600, 86400
DAYS = 140
# What a program may be called, a path contain, a list say.
HOSTILE = ["</script><script>document.title='owned'</script>", "<img src=x onerror=\"document.title='owned'\">",
           "=HYPERLINK(\"http://x.test\")", "\"quoted\", and 'single'", "a&amp;b", "{{data}}", "]]>-->", "\u2028line\u2029",
           "javascript:alert(1)", "тест ☃"]

# executable, user, kind, namespace, name, unit
WHO = [
    ("/usr/local/bin/checkout", 1001, "Deployment", "shop", "checkout", ""),
    ("/usr/local/bin/payments", 1001, "Deployment", "shop", "payments", ""),
    ("/usr/bin/node", 1001, "Deployment", "web", "storefront", ""),
    ("/usr/bin/python3.11", 1001, "CronJob", "data", "nightly-export", ""),
    ("/app/agent", 1001, "Deployment", "ai", "support-agent", ""),
    ("/usr/bin/vault", 100, "StatefulSet", "infra", "vault", ""),
    ("/usr/bin/prometheus", 65534, "StatefulSet", "monitoring", "prometheus", ""),
    ("/usr/bin/gitlab-runner", 999, "", "", "", "gitlab-runner.service"),
    ("/usr/bin/kubelet", 0, "", "", "", "kubelet.service"),
    ("/usr/bin/curl", 1000, "", "", "", ""),
]
# class, kind, server, path, length, scopes, score, terms
CLASSES = [
    ("github_pat", "api_key", "api.github.com", "/repos/{owner}/{repo}", 93, "repo\nread:org\nwrite:packages", 60, "tier0=60"),
    ("github_app_installation", "oauth_access", "api.github.com", "/app", 40, "contents:read", 10, "long_lived=10"),
    ("stripe_live", "api_key", "api.stripe.com", "/v1/charges", 107, "", 0, ""),
    ("openai_project", "api_key", "api.openai.com", "/v1/responses", 164, "", 0, ""),
    ("anthropic_api", "api_key", "api.anthropic.com", "/v1/messages", 108, "", 0, ""),
    ("jwt", "oauth_access", "payments.shop.svc", "/v1/pay", 900, "orders:read\norders:write", 20, "broad_write=20"),
    ("jwt", "service_account", "kubernetes.default.svc", "/api/v1/namespaces/{ns}/pods", 1100, "", 40, "admin=40"),
    ("vault_service", "service_account", "vault.infra.svc", "/v1/secret/data/{path}", 95, "", 30, "long_lived=30"),
    ("slack_bot", "api_key", "slack.com", "/api/chat.postMessage", 57, "chat:write", 20, "broad_write=20"),
    ("gitlab_pat", "api_key", "gitlab.example.com", "/api/v4/projects", 26, "api", 80, "tier0=60\nbroad_write=20"),
    ("aws_session", "cloud_sts", "s3.eu-central-1.amazonaws.com", "/{bucket}/{key}", 800, "", 0, ""),
    ("", "session", "storefront.example.com", "/cart", 64, "", 0, ""),
]
# What servers said that requests need, and rights seen in use.
NEEDED = {"github_pat": "repo\npublic_repo"}
RIGHTS = {("jwt", "service_account"): "list pods\nget configmaps"}
OWNERS = ["shop-team", "payments-team", "platform", "data-team", "web-team", "security"]


def token_id(i):
    digest = hashlib.sha256(f"fake token {i}".encode()).digest()[:20]
    return "tt1_" + base64.b32encode(digest).decode().lower()


class Maker:
    def __init__(self, path, now, hostile):
        self.db = sqlite3.connect(path)
        with open(os.path.join(ROOT, "schemas", "store.sql"), encoding="utf-8") as f:
            self.db.executescript(f.read())
        self.now, self.random, self.hostile = now, random.Random(17), hostile
        self.mints = 0

    def add(self, table, **columns):
        columns = {name.rstrip("_"): value for name, value in columns.items()}  # `class` is a word of Python's
        self.db.execute(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                        list(columns.values()))

    def who(self, i):
        executable, user, *_ = WHO[i]
        return {"executable": executable, "user": user, "container": "" if i > 6 else hashlib.sha256(executable.encode()).hexdigest()}

    def places(self):
        self.add("meta", name="node", value="worker-17")
        for i, (executable, user, kind, space, name, unit) in enumerate(WHO):
            self.add("workload", **self.who(i), kind=kind or ("unit" if unit else "executable"), name=name or unit or executable,
                     namespace=space, pod=f"{name}-5d9c7" if name else "", service_account=name, unit=unit, evidence="", last=self.now * S)
            self.cover(i, executable, user)
        for reason, count in (("hpack_unknown", 41), ("ring_full", 3)):
            self.add("loss", reason=reason, count=count, first=(self.now - 9 * DAY) * S, last=(self.now - 2 * DAY) * S)
        for h in range((self.now - DAYS * DAY) // HOUR, self.now // HOUR + 1):
            hour, weekday = h % 24, h // 24 % 7
            busy = (1 if 7 <= hour <= 18 else 0.35) * (0.45 if weekday in (2, 3) else 1)
            if not DAYS - 60 < (self.now // HOUR - h) / 24 < DAYS - 57:
                self.add("hour", hour=h, uses=int(busy * self.random.randint(2500, 4200)), mints=int(busy * self.random.randint(15, 40)),
                         failed_mints=self.random.choice((0, 0, 0, 1)))

    def cover(self, i, executable, user, status="covered", share=1.0):
        wire = self.random.randint(10**7, 10**9)
        self.add("cover", pid=1000 + i, start=i, started=(self.now - 9 * DAY) * S, process=os.path.basename(executable)[:15], executable=executable,
                 user=user, container="", workload_kind="", workload="", client=1, server=0, middle=0, io_uring=0, ended=0, sockets=9,
                 blind_sockets=0, wire_sent=wire, wire_received=0, covered_sent=int(wire * share), covered_received=0, plain_sent=0,
                 plain_received=0, first_tls=0, first_call=0, exec_to_call=0, status=status,
                 reason="not_found" if status == "blind" else "", last=self.now * S)

    def use(self, token, i, server, path, count, first, last, method="GET"):
        self.add("use", token=token, direction="egress", process=os.path.basename(WHO[i][0])[:15], **self.who(i), carrier="authorization",
                 scheme="bearer", method=method, path=path, status=200, server_address=server, server_port=443, peer_ip="203.0.113.9",
                 peer_port=443, tls=1, count=count, first=first * S, last=last * S, pid=1000 + i, client_ip="10.0.0.7", http_version=20)

    def token(self, n):
        rnd, now = self.random, self.now
        cls, kind, server, path, length, scopes, score, terms = CLASSES[min(rnd.randrange(16), 11)]
        i = rnd.choice((0, 0, 1, 1, 2, 2, 3, 4, 4, 5, 6, 7))
        short = kind in ("oauth_access", "session", "cloud_sts")
        age = rnd.uniform(0.01, 2.5) if short else rnd.uniform(8, DAYS - 1)
        idle = 0 if rnd.random() < 0.82 else rnd.uniform(0, age)
        first, last = int(now - age * DAY), int(now - idle * DAY) - rnd.randint(0, 3 * HOUR)
        last, never = max(first, last), rnd.random() < 0.04
        uses = 0 if never else max(1, int(rnd.lognormvariate(5, 2)))
        token, name = token_id(n), "" if rnd.random() < 0.6 else f"{rnd.choice(OWNERS)}-{cls or 'session'}-{n}"
        owner = "" if rnd.random() < 0.1 else rnd.choice(OWNERS)
        if self.hostile and n < 20 * len(HOSTILE):
            cls, owner, name = HOSTILE[n % len(HOSTILE)], HOSTILE[(n + 3) % len(HOSTILE)], HOSTILE[(n + 6) % len(HOSTILE)]
        self.add("token", token=token, key_id="9f86d081884c7d65", class_=cls, kind=kind, length=length, first=0 if never else first * S,
                 last=0 if never else last * S, uses=uses, egress=uses, ingress=0, readable=1, entry=0)
        expires = int(first + rnd.choice((1, 12, 72)) * HOUR) if short and kind != "session" else 0
        self.add("fact", token=token, token_issuer=server if cls == "jwt" else "", token_scopes=scopes, token_expires=expires * S,
                 minted_time=first * S if short else 0, minted_issuer="login.example.com/oauth2/token" if short else "",
                 minted_executable=WHO[i][0] if short else "", privilege_score=min(100, score + (0 if short else 10) if score else 0),
                 privilege_terms=terms, token_needed_scopes=NEEDED.get(cls, ""), privilege_used=RIGHTS.get((cls, kind), ""), owner_name=owner, owner_kind="team" if owner else "", owner_confidence=rnd.choice(("medium", "high", "low")) if owner else "",
                 listed_name=name, listed_time=(now - 5 * DAY) * S if name else 0, listed_source="vault" if name else "")
        if not uses:
            return
        self.use(token, i, server, path, uses, first, last, rnd.choice(("GET", "GET", "POST")))
        self.add("use_day", token=token, day=first // DAY, uses=min(uses, 30))
        if not short and age > 20 and n % 90 == 7:
            self.use(token, 9, "paste.example.net", "/api/{...}", rnd.randint(1, 20), now - 3 * HOUR, now - HOUR, "POST")
        if not short and n % 120 == 11:
            self.use(token, (i + 1) % 6, server, path, 12, now - 2 * DAY, now - HOUR)

    def minting(self):
        issuer, now = "login.example.com/oauth2/token", self.now
        for i in (0, 1, 2):
            for t in range(now - 30 * DAY, now, 1800):
                self.rate(issuer, i, t, self.random.randint(1, 3))
        for t in range(now - 2 * HOUR, now - HOUR, 300):
            self.rate(issuer, 1, t, 44)
        for n in range(20):
            self.mint(issuer, 4, now - 4 * HOUR + n * 420, token_id(f"loop {n}"))

    def rate(self, issuer, i, time, mints):
        self.db.execute("INSERT INTO mint_rate VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET mints = mints + excluded.mints",
                        [issuer, *self.who(i).values(), time // 300, mints])

    def mint(self, issuer, i, time, token):
        self.mints += 1
        self.rate(issuer, i, time, 1)
        self.add("mint", number=self.mints, time=time * S, action="mint", method="oauth", issuer=issuer, mint_grant="client_credentials",
                 status=200, direction="egress", process="agent", **self.who(i), pid=7, http_method="POST", path="/oauth2/token",
                 server_address="login.example.com", server_port=443, peer_ip="", peer_port=0, client_ip="", tls=1, http_version=11,
                 client_id="support-agent", subject="", audience="", requested_scopes="", scopes="", expires=(time + 3600) * S, note="")
        self.add("mint_token", number=self.mints, token=token, part="minted", role="access")
        self.add("token", token=token, key_id="9f86d081884c7d65", class_="jwt", kind="oauth_access", length=800, first=0, last=0, uses=0,
                 egress=0, ingress=0, readable=1, entry=0)
        self.add("fact", token=token, minted_time=time * S, minted_issuer=issuer, minted_executable=WHO[i][0], token_expires=(time + 3600) * S)

    def make(self, tokens):
        self.places()
        self.cover(90, "/opt/legacy/batch", 1001, "blind", 0)
        if self.hostile:
            for n, text in enumerate(HOSTILE):
                self.cover(100 + n, text, 1001, "blind", 0)
                self.add("loss", reason=text, count=1, first=0, last=self.now * S)
        for n in range(tokens):
            self.token(n)
        self.minting()
        self.db.commit()
        self.db.close()


def make(path, tokens=300, now=NOW, hostile=False):
    Maker(path, now, hostile).make(tokens)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--tokens", type=int, default=300)
    p.add_argument("--now", type=int, default=NOW)
    p.add_argument("--hostile", action="store_true")
    o = p.parse_args()
    make(o.file, o.tokens, o.now, o.hostile)
