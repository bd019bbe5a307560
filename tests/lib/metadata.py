#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metadata services of clouds as their documentation describes the answers, with made-up tokens.

    metadata.py KIND ADDRESS      KIND: ec2 (without IMDSv2), ecs, eks, gce, azure; port 80

What a service has in common with others of its cloud (an imitation of AWS, say) is not here.
"""
import base64
import http.server
import json
import secrets
import sys
import time
import urllib.parse

LIFE = 3599
ROLE = "shop-reader"
SERVICE_ACCOUNT = "cart@shop.iam.gserviceaccount.com"


def segment(value):
    raw = json.dumps(value, separators=(",", ":")).encode() if isinstance(value, dict) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(claims):
    """As if signed by RSA: nobody here has the key."""
    return ".".join((segment({"alg": "RS256", "typ": "JWT", "kid": secrets.token_hex(8)}), segment(claims),
                     segment(secrets.token_bytes(256))))


def session():
    """What AWS's services for instances, tasks and pods have in common."""
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LIFE))
    return {"AccessKeyId": "ASIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16)),
            "SecretAccessKey": base64.b64encode(secrets.token_bytes(30)).decode(),
            "Token": base64.b64encode(secrets.token_bytes(700)).decode(), "Expiration": end}


def ec2(method, path, _query, _headers):
    base = "/latest/meta-data/iam/security-credentials/"
    if method != "GET":
        return 405, "text/plain", ""
    if path == base:
        return 200, "text/plain", ROLE
    if path == base + ROLE:
        return 200, "application/json", {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-26T00:00:00Z",
                                         **session()}
    return 404, "text/plain", ""


def ecs(_method, path, _query, _headers):
    if not path.startswith("/v2/credentials/"):
        return 404, "application/json", {"code": "NotFound"}
    return 200, "application/json", {"RoleArn": "arn:aws:iam::123456789012:role/" + ROLE, **session()}


def eks(_method, path, _query, headers):
    if path != "/v1/credentials" or not headers.get("Authorization"):
        return 400, "application/json", {"message": "no token"}
    return 200, "application/json", {"AccountId": "123456789012", **session()}


def gce(method, path, query, headers):
    base = "/computeMetadata/v1/instance/service-accounts/"
    account, _, what = path[len(base):].partition("/")
    if headers.get("Metadata-Flavor") != "Google":
        return 403, "text/html", "Missing Metadata-Flavor:Google header."
    if path == "/":
        return 200, "text/plain", "computeMetadata/"
    if method == "POST" and "certificate_chain" not in headers.body:
        return 400, "text/plain", "no certificate"
    if path.startswith(base) and account in ("default", SERVICE_ACCOUNT):
        if what == "token":
            return 200, "application/json", {"access_token": "ya29." + "c." + secrets.token_urlsafe(180),
                                             "expires_in": LIFE, "token_type": "Bearer"}
        if what == "identity":
            now = int(time.time())
            return 200, "text/html", jwt({
                "iss": "https://accounts.google.com", "aud": query["audience"][0], "azp": "104", "sub": "104",
                "email": SERVICE_ACCOUNT, "email_verified": True, "iat": now, "exp": now + LIFE})
        if not what and "recursive" in query:
            return 200, "application/json", {"aliases": ["default"], "email": SERVICE_ACCOUNT,
                                             "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    return 404, "text/plain", ""


def azure(_method, path, query, headers):
    if path != "/metadata/identity/oauth2/token" or headers.get("Metadata") != "true":
        return 400, "application/json", {"error": "invalid_request"}
    now = int(time.time())
    token = jwt({"aud": query["resource"][0], "iss": "https://sts.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47/",
                 "iat": now, "nbf": now, "exp": now + LIFE, "idtyp": "app", "ver": "1.0",
                 "oid": "4b60f7a2-7c6a-4c2f-8f39-9e7fb1f0b9a5", "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47"})
    # Numbers as text, as the service has them.
    return 200, "application/json; charset=utf-8", {
        "access_token": token, "client_id": "1b2f6c1e-4f0e-4f7b-9a74-3c0f6c7e0a11", "expires_in": str(LIFE),
        "expires_on": str(now + LIFE), "ext_expires_in": str(LIFE), "not_before": str(now),
        "resource": query["resource"][0], "token_type": "Bearer"}


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kind = None

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        self.headers.body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        status, kind, body = type(self).kind(self.command, url.path, urllib.parse.parse_qs(url.query), self.headers)
        body = (json.dumps(body) if isinstance(body, dict) else body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if type(self).kind is gce:
            self.send_header("Metadata-Flavor", "Google")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


def main():
    kinds = {"ec2": ec2, "ecs": ecs, "eks": eks, "gce": gce, "azure": azure}
    Service.kind = staticmethod(kinds[sys.argv[1]])
    http.server.ThreadingHTTPServer((sys.argv[2], 80), Service).serve_forever()


if __name__ == "__main__":
    main()
