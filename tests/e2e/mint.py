#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mints: answers of token endpoints are read, and each minted token is joined with its use.

An OAuth endpoint of this test's own sends every shape of answer (length, chunks, pieces, until the connection
ends, plain and through TLS, as it is and compressed), metadata services' and Vault's and Kubernetes' shapes; none of a
token's bytes is in the records.
"""
import gzip
import http.server
import itertools
import json
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import rig  # noqa: E402
from mints import both, parts, seconds  # noqa: E402

LIFE = 600
answers = {}  # path -> (status, body)
CODINGS = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


class Issuer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urllib.parse.urlsplit(self.path)
        status, body = answers.get(url.path, (200, b"ok"))
        how, coding = self.headers.get("X-How", "length"), self.headers.get("Accept-Encoding", "identity")
        body = CODINGS[coding](body)
        self.send_response(status)
        if coding != "identity":
            self.send_header("Content-Encoding", coding)
        if how == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(0, len(body), 40):
                part = body[i:i + 40]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        if how == "bytes":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n")
            return
        if how == "close":
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        step = 11 if how == "pieces" else len(body) or 1
        for i in range(0, len(body), step):
            self.wfile.write(body[i:i + step])

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


def ask(base, path, method="GET", body=None, headers=None, context=None):
    request = urllib.request.Request(base + path, method=method, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.read()
    except urllib.error.HTTPError as e:
        return e.read()


def story(sensor, token_id):
    """What trace tells of a token: events, and the other token of each."""
    out = rig.run([rig.TOKENTRAIL, "trace", "--json", "--store", os.path.join(sensor.state, "store.db"), token_id], check=False)[1]
    lines = [json.loads(line) for line in out.splitlines()]
    return [(e["event"], e.get("other", {}).get("id")) for e in lines if e["type"] == "story"]


def oauth(access, **more):
    return json.dumps({"access_token": access, "token_type": "Bearer", "expires_in": LIFE, **more}).encode()


def shapes(sensor, base, context=None):
    for how, coding in itertools.product(("length", "chunks", "pieces", "close"), CODINGS):
        with rig.case(f"{'TLS' if context else 'plain'}, {how}, {coding}: an access token is joined with its use"):
            access, refresh, secret = rig.random_text(900), rig.random_text(40), rig.random_text(30)
            answers["/oauth/token"] = (200, oauth(access, refresh_token=refresh, scope="read write"))
            body = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "cart",
                                           "client_secret": secret, "scope": "read write admin"}).encode()
            got = ask(base, "/oauth/token", "POST", body, {"X-How": how, "Accept-Encoding": coding}, context)
            rig.need_equal(access.encode() in got, coding == "identity", "the answer is as it is")
            ask(base, "/api/items", headers={"Authorization": f"Bearer {access}"}, context=context)
            ids = dict(zip(("access", "refresh", "secret"), sensor.ids([access, refresh, secret])))
            for m in both(sensor, ids["access"]).values():
                rig.need_equal(parts(m, "minted"), {"access": ids["access"], "refresh": ids["refresh"]}, "minted")
                rig.need_equal(parts(m, "parent"), {"body:client_secret": ids["secret"]}, "parents")
                rig.need_equal((m["method"], m["outcome"], m["grant"], m["client_id"]),
                               ("oauth", "ok", "client_credentials", "cart"), "what it was")
                rig.need_equal((m["requested"]["scopes"], m["granted"]["scopes"]),
                               (["read", "write", "admin"], ["read", "write"]), "scopes")
                rig.need(abs(seconds(m["granted"]["expires"]) - time.time() - LIFE) < 30, "expiry")
                rig.need(m["issuer"]["key"].endswith("/oauth/token"), "issuer")
            rig.need(sensor.wait_uses(ids["access"], 2), "its use")
            known = [t for t in sensor.records("token") if t["token"]["id"] == ids["access"]][-1]
            rig.need_equal(known["minted"]["parent"], ids["secret"], "the token's parent")


def http2(sensor, directory, authority, port):
    """Through nginx, which compresses and speaks HTTP/2 to curl."""
    nginx = rig.Nginx(directory, authority, http2=True, more=f"location /oauth/ {{ proxy_pass http://127.0.0.1:{port}; "
                      "proxy_set_header Accept-Encoding identity; gzip on; gzip_types *; gzip_proxied any; }")
    for coding, how in itertools.product(("identity", "gzip"), ("length", "chunks", "close")):
        with rig.case(f"HTTP/2, {how}, {coding}: an access token is joined with its use"):
            access, refresh = rig.random_text(1500), rig.random_text(40)
            answers["/oauth/token"] = (200, oauth(access, refresh_token=refresh, scope="read"))
            accept = ["--compressed"] if coding == "gzip" else []
            got = rig.run(["curl", "-sS", "--http2", "--cacert", authority.ca, "-d", "grant_type=client_credentials",
                           "-H", f"X-How: {how}", *accept, "-D", f"{directory}/head",
                           f"https://localhost:{nginx.tls}/oauth/token"])[1]
            with open(f"{directory}/head", encoding="ascii") as head:
                rig.need_equal("content-encoding: gzip" in head.read(), coding == "gzip", "compressed")
            rig.need_equal(json.loads(got)["access_token"], access, "what curl got")
            ids = dict(zip(("access", "refresh"), sensor.ids([access, refresh])))
            rig.run(["curl", "-sS", "--http2", "--cacert", authority.ca, "-o", "/dev/null", "-H",
                     f"Authorization: Bearer {access}", f"https://localhost:{nginx.tls}/items"])

            def told(ids=ids):
                return [m for m in sensor.records("mint")
                        if parts(m, "minted") == ids and m["http"]["version"] == "2"]
            both_ends = rig.wait_until(lambda: (lambda m: m if len(m) == 2 else None)(told()), 10, "both ends of HTTP/2")
            rig.need_equal({(m["direction"], m["outcome"], m["grant"]) for m in both_ends},
                           {(d, "ok", "client_credentials") for d in ("ingress", "egress")}, "what they were")
            rig.need(sensor.wait_uses(ids["access"], 2), "its use")


def other_shapes(sensor, base):
    jwt = ".".join(rig.random_text(n) for n in (30, 200, 80))
    cases = [  # name, method, path, answer, token, role, method's name
        ("Azure's instance metadata", "GET", "/metadata/identity/oauth2/token?resource=https://management.azure.com/",
         {"access_token": jwt + "a", "expires_in": "600", "expires_on": str(int(time.time()) + LIFE)}, jwt + "a", "access",
         "azure_imds"),
        ("GCP's metadata", "GET", "/computeMetadata/v1/instance/service-accounts/default/token",
         {"access_token": "ya" + "29." + jwt, "expires_in": LIFE}, "ya" + "29." + jwt, "access", "gcp_metadata_token"),
        ("AWS's instance metadata", "GET", "/latest/meta-data/iam/security-credentials/reader",
         {"AccessKeyId": "ASIA" + "A2B3C4D5E6F7G2H3", "SecretAccessKey": rig.random_text(40), "Token": jwt + "b",
          "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))}, jwt + "b", "session",
         "aws_imds_role"),
        ("an ECS task's role", "GET", "/v2/credentials/3f2504e0-4f89-41d3-9a0c-0305e82c3301",
         {"Token": jwt + "c", "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))},
         jwt + "c", "session", "aws_ecs"),
        ("Kubernetes' TokenRequest", "POST", "/api/v1/namespaces/shop/serviceaccounts/cart/token",
         {"status": {"token": jwt + "d", "expirationTimestamp":
                     time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))}}, jwt + "d", "access",
         "kubernetes_token"),
        ("Vault's login", "POST", "/v1/auth/kubernetes/login",
         {"auth": {"client_token": "hv" + "s." + rig.random_text(90), "lease_duration": LIFE, "policies": ["a"]}}, None,
         "access", "vault_auth"),
        ("a GitHub app's token", "POST", "/app/installations/4711/access_tokens",
         {"token": "gh" + "s_" + rig.random_text(36), "expires_at":
          time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))}, None, "access", "github_app"),
    ]
    for name, method, path, answer, token, role, rule in cases:
        with rig.case(f"{name}: token and expiry"):
            token = token or answer.get("token") or answer["auth"]["client_token"]
            answers[path.split("?")[0]] = (200, json.dumps(answer).encode())
            ask(base, path, method, b"{}" if method == "POST" else None)
            dated = "expires_in" not in answer and "auth" not in answer
            token_id = sensor.ids([token])[0]
            for m in both(sensor, token_id).values():
                rig.need_equal((m["method"], list(parts(m, "minted"))), (rule, [role]), "rule and role")
                rig.need(abs(seconds(m["granted"]["expires"]) - time.time() - LIFE) < 30, "expiry")
            known = [t["token"] for t in sensor.records("token") if t["token"]["id"] == token_id][-1]
            rig.need_equal(known["expiry_rule"], "expires_at" if dated else "expires_in", "where its end is from")


def proto(*fields):
    """Protobuf's wire format: numbers as varints, texts and messages with their lengths."""
    def varint(n):
        return bytes([n & 127 | (128 if n > 127 else 0)]) + (varint(n >> 7) if n > 127 else b"")

    def field(number, value):
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        raw = value if isinstance(value, bytes) else value.encode()
        return varint(number << 3 | 2) + varint(len(raw)) + raw
    return b"".join(field(*f) for f in fields)


def kubernetes(kind, *fields):
    """As kubelets and API servers speak with each other: k8s.io/apimachinery, runtime.Unknown."""
    return b"k8s\0" + proto((1, proto((1, "authentication.k8s.io/v1"), (2, kind))), (2, proto(*fields)), (3, ""), (4, ""))


def protobuf(sensor, base):
    path, kind = "/api/v1/namespaces/shop/serviceaccounts/cart/token", {"Content-Type": "application/vnd.kubernetes.protobuf"}
    spec = proto((1, "vault"), (1, "api"), (3, proto((1, "Pod"), (2, "v1"), (3, "cart-0"))), (4, 3607))
    for how, coding in itertools.product(("length", "chunks", "pieces"), ("identity", "gzip")):
        with rig.case(f"Kubernetes' protobuf, {how}, {coding}: token, expiry and what was asked"):
            token, ends = ".".join(rig.random_text(n) for n in (40, 800, 342)), int(time.time()) + LIFE
            answers[path] = (201, kubernetes("TokenRequest", (1, proto((1, "cart"))), (2, spec),
                                             (3, proto((1, token), (2, proto((1, ends), (2, 0)))))))
            ask(base, path, "POST", kubernetes("TokenRequest", (1, b""), (2, spec), (3, b"")),
                {**kind, "X-How": how, "Accept-Encoding": coding})
            token_id = sensor.ids([token])[0]
            for m in both(sensor, token_id).values():
                rig.need_equal((m["method"], m["outcome"], parts(m, "minted"), m.get("note")),
                               ("kubernetes_token", "ok", {"access": token_id}, None), "what it was")
                rig.need_equal((m["requested"]["audience"], m["requested"]["life"]), ("vault api", 3607), "what was asked")
                rig.need(abs(seconds(m["granted"]["expires"]) - ends) <= 1, "expiry")
    with rig.case("a refusal by protobuf: failed, with its reason, and its message is no token"):
        before = len(sensor.records("mint"))
        answers[path] = (403, kubernetes("Status", (2, "Failure"), (3, proto((1, rig.random_text(60)))), (4, "Forbidden"),
                                         (6, 403)))
        ask(base, path, "POST", kubernetes("TokenRequest", (2, spec)), kind)
        new = rig.wait_until(lambda: (lambda m: m if len(m) == 2 else None)(sensor.records("mint")[before:]), 10, "two records")
        rig.need_equal({(m["outcome"], m["error"], len(m["tokens"])) for m in new}, {("failed", "Forbidden", 0)}, "records")


def life_of_a_token(sensor, base):
    with rig.case("IMDSv2: a token alone, then used"):
        token = rig.random_text(54) + "=="
        answers["/latest/api/token"] = (200, token.encode())
        ask(base, "/latest/api/token", "PUT", b"", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        found = both(sensor, sensor.ids([token])[0])
        rig.need_equal(found["egress"]["method"], "aws_imds_token", "method")
    with rig.case("a refresh leads from token to token, a revocation ends it"):
        first, second, access = (rig.random_text(40) for _ in range(3))
        ids = dict(zip(("first", "second", "access"), sensor.ids([first, second, access])))
        answers["/oauth/token"] = (200, oauth(access, refresh_token=second))
        ask(base, "/oauth/token", "POST", f"grant_type=refresh_token&refresh_token={first}".encode())
        both(sensor, ids["second"])
        again = rig.random_text(40)
        answers["/oauth/token"] = (200, oauth(again))
        ask(base, "/oauth/token", "POST", f"grant_type=refresh_token&refresh_token={second}".encode())
        again = sensor.ids([again])[0]
        both(sensor, again)
        for of, event, other in ((ids["access"], "renewed", again), (again, "renews", ids["access"]),
                                 (ids["second"], "replaces", ids["first"]), (ids["first"], "replaced", ids["second"])):
            rig.wait_until(lambda of=of, event=event, other=other: (event, other) in story(sensor, of), 10, f"trace tells that it {event}")
        answers["/oauth/revoke"] = (200, b"")
        ask(base, "/oauth/revoke", "POST", f"token={access}".encode())
        rig.need_equal(both(sensor, ids["access"], "revoked")["egress"]["action"], "revoke", "action")

        def tokens():
            return {t["token"]["id"]: t for t in sensor.records("token")}
        rig.need_equal(tokens()[ids["second"]]["minted"]["previous"], ids["first"], "previous")
        rig.wait_until(lambda: "revoked" in tokens()[ids["access"]], 10, "the token is told revoked")
    with rig.case("a refused mint counts; another POST /token is none"):
        before = len(sensor.records("mint"))
        answers["/oauth/token"] = (400, b'{"error":"invalid_grant"}')
        ask(base, "/oauth/token", "POST", b"grant_type=authorization_code&code=" + rig.random_text(20).encode())
        answers["/shop/token"] = (200, b'{"items":[1,2,3]}')
        ask(base, "/shop/token", "POST", b'{"add":4}')
        rig.wait_until(lambda: len(sensor.records("mint")) >= before + 2, 10, "two records")
        time.sleep(1)
        new = sensor.records("mint")[before:]
        rig.need_equal([(m["outcome"], m["error"], m["http"]["status"]) for m in new],
                       [("failed", "invalid_grant", 400)] * 2, "records")
    with rig.case("more chunks in a call than there is room for: nothing is read across what is missing, and it is counted"):
        before = len(sensor.records("mint"))
        answers["/oauth/token"] = (200, oauth(rig.random_text(40), refresh_token=rig.random_text(3000)))
        ask(base, "/oauth/token", "POST", b"grant_type=client_credentials", {"X-How": "bytes"})
        new = rig.wait_until(lambda: (lambda m: m if len(m) == 2 else None)(sensor.records("mint")[before:]), 10,
                             "two records")
        for m in new:
            rig.need("refresh" not in parts(m, "minted"), "a token that was not seen whole is told of")
    whole = gzip.compress(oauth(rig.random_text(300)))
    for name, body, note in (
            ("of another coding", b"\x28\xb5\x2f\xfd" + os.urandom(60), "compressed"),
            ("that is damaged", whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], "unreadable"),
            ("with another checksum", whole[:-8] + bytes(8), "unreadable"),
            ("that ends early", whole[:-1], "incomplete"),
            ("that is too long", gzip.compress(oauth(rig.random_text(40), more="a" * 300000)), "incomplete")):
        with rig.case(f"a compressed answer {name} is told of without a token, and counted"):
            before = len(sensor.records("mint"))
            answers["/oauth/token"] = (200, body)
            ask(base, "/oauth/token", "POST", b"grant_type=client_credentials")
            new = rig.wait_until(lambda: (lambda m: m if len(m) == 2 else None)(sensor.records("mint")[before:]), 10,
                                 "two records")
            rig.need_equal({(m["note"], len(m["tokens"])) for m in new}, {(note, 0)}, "note and tokens")


def main():
    rig.need_root()
    d = rig.work_dir("mint")
    authority = rig.Authority(d)
    sensor = rig.Sensor(d)
    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert, authority.key)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    for server in (plain, secure):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{plain.server_port}"
    shapes(sensor, base)
    shapes(sensor, f"https://localhost:{secure.server_port}", ssl.create_default_context(cafile=authority.ca))
    http2(sensor, d, authority, plain.server_port)
    other_shapes(sensor, base)
    protobuf(sensor, base)
    life_of_a_token(sensor, base)
    with rig.case("nothing was lost"):
        sensor.stop()
        losses = {k: v for k, v in sensor.losses().items() if k.startswith(("mint_", "bad_record"))}
        rig.need(losses.pop("mint_spans", 0) > 100, "mint_spans is counted")
        rig.need_equal(losses, {"mint_compressed": 2, "mint_damaged": 8}, "losses")
    rig.finish()


main()
