#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Places beside Authorization where real clients carry credentials, by HTTP/1 and HTTP/2: each is reported under
the id that `tokentrail fingerprint` prints, with its carrier's name, and nothing of what is not listed."""
import base64
import json
import os
import random
import socket
import sys
import urllib.parse

import boto3
import botocore.config
import requests

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

VERSIONS = ("--http1.1", "--http2")
CLOUD = os.path.join(peers.CACHE, "cloud", "bin", "python")
DIGEST = """location /digest {
    if ($http_authorization = "") {
        add_header WWW-Authenticate 'Digest realm="r,username=no", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c0", qop="auth"' always;
        return 401;
    }
    return 200 "$http_authorization";
}"""
BOTO = """
import sys
import boto3
url, ca, key, secret, token = sys.argv[1:]
boto3.client("s3", endpoint_url=url, verify=ca, region_name="eu-central-1", aws_access_key_id=key,
             aws_secret_access_key=secret, aws_session_token=token).head_bucket(Bucket="signed")
"""


class Place:
    """A service, its authority and a sensor."""

    def __init__(self, work):
        self.authority = rig.Authority(work)
        self.nginx = rig.Nginx(work, self.authority, more=DIGEST)
        self.nginx2 = rig.Nginx(work, self.authority, http2=True, more=DIGEST)
        self.sensor = rig.Sensor(work)

    def url(self, path="/v1/items", http2=False):
        return f"https://localhost:{(self.nginx2 if http2 else self.nginx).tls}{path}"

    def curl(self, version, *more, path="/v1/items"):
        out = rig.run(["curl", "-sS", "--cacert", self.authority.ca, "-o", "/dev/null", "-w", "%{http_version}",
                       version, *more, self.url(path, version == "--http2")])[1]
        rig.need_equal(out, "2" if version == "--http2" else "1.1", "the version spoken")

    def get(self, url, version=None, host=None):
        """By curl with this version of HTTP, or by Python requests."""
        if version:
            where = urllib.parse.urlsplit(url)
            self.curl(version, *(["-H", f"Host: {host}"] if host else []), path=url[len(f"{where.scheme}://{where.netloc}"):])
            return
        with requests.Session() as session:
            session.trust_env, session.verify = False, self.authority.ca
            session.get(url, headers={"Host": host} if host else {})

    def seen(self, token, carrier, count=1, path="/v1/items", **want):
        """`count` uses at each end, with this carrier and these members of `token`."""
        uses = self.sensor.wait_uses(self.sensor.ids([token])[0], 2 * count)
        for direction in ("egress", "ingress"):
            rig.need_equal(rig.total([u for u in uses if u["direction"] == direction]), count, f"{direction} uses")
        rig.need_equal({u["token"].get("carrier") for u in uses}, {carrier}, "carriers")
        rig.need_equal({u["http"]["path"] for u in uses}, {path}, "paths")
        for name, value in want.items():
            rig.need_equal({u["token"].get(name) for u in uses}, {value}, name)
        return uses

    def row(self, token, fits):
        """What is known of the token comes to fit."""
        token = self.sensor.ids([token])[0]
        rig.wait_until(lambda: [r for r in self.sensor.records("token")
                                if r["token"]["id"] == token and fits(r["token"])], 10, "what is known of it")

    def unseen(self, *secrets):
        with open(self.sensor.out_path, encoding="utf-8") as f:
            text = f.read()
        for secret in secrets:
            rig.need(secret not in text, "what must not be told was told")
        ids = self.sensor.ids(secrets)
        rig.need_equal(self.sensor.uses(ids), [], "uses of what is no credential")


def cookies(place):
    for version in VERSIONS:
        with rig.case(f"cookies of curl, in two fields ({version[2:]})"):
            sid, jwt_like, other = (rig.random_text(32) for _ in range(3))
            place.curl(version, "-H", f"Cookie: theme=dark; JSESSIONID={sid}; tracking={other}", "-H",
                       f"Cookie: __Host-access_token=\"{jwt_like}\"")
            place.seen(sid, "cookie:JSESSIONID", kind="session")
            place.seen(jwt_like, "cookie:access_token", kind="oauth_access")
            place.unseen(other)
    with rig.case("one id as a cookie and as a bearer token; a session of Python requests"):
        token, lang = rig.token(), rig.random_text(12)
        with requests.Session() as session:
            session.trust_env, session.verify = False, place.authority.ca
            session.cookies.set("grafana_session", token)
            session.cookies.set("lang_of_user", lang)
            for _ in range(2):
                rig.need_equal(session.get(place.url()).status_code, 200, "status")
        place.seen(token, "cookie:grafana_session", 2, **{"class": "github_pat_classic"})
        place.unseen(lang)


def key_id():
    return "AKIA" + "".join(random.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))


def signed_by_boto3(place, key, secret, version):
    """An address that S3's SDK signed; where it leads is replaced by nginx."""
    client = boto3.client("s3", endpoint_url=place.url(""), region_name="eu-west-1", aws_access_key_id=key,
                          aws_secret_access_key=secret, aws_session_token=None,
                          config=botocore.config.Config(signature_version=version, s3={"addressing_style": "path"}))
    return client.generate_presigned_url("get_object", Params={"Bucket": "books", "Key": "list"}, ExpiresIn=600)


def member(url, name):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))[name]


def signed_urls(place):
    for version in (None, *VERSIONS):
        client = f"curl, {version[2:]}" if version else "Python requests"
        with rig.case(f"a URL that boto3 signed (SigV4; {client}): its key's id, and what makes it valid"):
            key, secret = key_id(), rig.random_text(40)
            url = signed_by_boto3(place, key, secret, "s3v4")
            place.get(url, version)
            place.seen(key, "query:x-amz-credential", path="/books/list", kind="key_id", **{"class": "aws_key_long"})
            place.row(key, lambda t, k=key: t.get("public_id") == k)
            place.seen(member(url, "X-Amz-Signature"), "query:x-amz-signature", path="/books/list", kind="signed_url",
                       **{"class": "aws_presigned"})
            place.unseen(secret, "aws4_request")
        with rig.case(f"and SigV2, where S3 is ({client})"):
            key, secret = key_id(), rig.random_text(40)
            url = signed_by_boto3(place, key, secret, "s3")
            place.get(url, version, "books.s3.amazonaws.com")
            place.seen(key, "query:awsaccesskeyid", path="/books/list", kind="key_id")
            place.seen(member(url, "Signature"), "query:signature", path="/books/list", kind="signed_url",
                       **{"class": "aws_presigned"})
            elsewhere = signed_by_boto3(place, key_id(), rig.random_text(40), "s3")
            place.get(elsewhere, version, "books.example.com")
            place.seen(member(elsewhere, "AWSAccessKeyId"), "query:awsaccesskeyid", path="/books/list")
            place.unseen(member(elsewhere, "Signature"))


def parameters(place):
    sas = base64.b64encode(random.randbytes(32)).decode()
    google = "AI" + "za" + rig.random_text(35)
    wanted = [	# host, parameter, value, class, kind; class None: there it is none
        ("shop.blob.core.windows.net", "sig", sas, "azure_sas", "signed_url"),
        ("prod-1.westeurope.logic.azure.com", "sig", rig.random_text(43), "azure_sas", "signed_url"),
        ("example.com", "sig", rig.random_text(43), None, None),
        ("maps.googleapis.com", "key", google, "gcp_api_key", "api_key"),
        ("example.com", "key", rig.random_text(39), None, None),
        ("orders.azurewebsites.net", "code", rig.random_text(54) + "==", "azure_functions_key", "api_key"),
        ("example.com", "code", rig.random_text(54), None, None),
        ("eu.my.salesforce.com", "sid", "00D" + rig.random_text(12) + "!" + rig.random_text(96), "salesforce_session",
         "session"),
        ("example.com", "sid", rig.random_text(40), None, None),
    ]
    for version in (None, *VERSIONS):
        with rig.case("parameters that are credentials at some hosts only "
                      f"({'curl, ' + version[2:] if version else 'Python requests'})"):
            for n, (host, name, value, found, kind) in enumerate(wanted):
                value = value[:-6] + rig.random_text(4) + value[-2:]	# another one each time
                query = urllib.parse.urlencode({"a": n, name: value, "z": "end"})
                place.get(place.url("/v1/items?" + query), version, host)
                if found:
                    place.seen(value, "query:" + name, kind=kind, **{"class": found})
                else:
                    after = rig.token()	# by then it would have been told
                    place.curl("--http1.1", "-H", f"X-Api-Key: {after}")
                    place.seen(after, "x-api-key")
                    place.unseen(value)


def paths(place):
    hexes = "0123456789abcdef"
    jwt = ".".join(base64.urlsafe_b64encode(t.encode()).decode().rstrip("=") for t in (
        '{"alg":"ES256"}', json.dumps({"iss": "https://issuer.test", "sub": "job-7"}), rig.random_text(48)))

    def some(alphabet, length):
        return "".join(random.choice(alphabet) for _ in range(length))

    def wanted():
        hook, discord, teams, zap = rig.random_text(24), rig.random_text(68), some(hexes, 32), some("abcdefghij0123456789", 7)
        bot, vault, tines = f"{random.randrange(10**8, 10**9)}:A{rig.random_text(34)}", "s." + rig.random_text(24), some(hexes, 32)
        reset, signed = "github" + "_pat_" + rig.random_text(82), jwt + rig.random_text(4)
        yield "hooks.slack.com", f"/services/T01ABCDEF/B01ABCDEF/{hook}", "slack_webhook", "webhook", hook
        yield "discord.com", f"/api/webhooks/123456789012345678/{discord}?wait=true", "discord_webhook", "webhook", discord
        yield ("acme.webhook.office.com", f"/webhookb2/x@y/IncomingWebhook/{teams}/z", "teams_webhook", "webhook", teams)
        yield "hooks.zapier.com", f"/hooks/catch/1234567/{zap}/", "zapier_webhook", "webhook", zap
        yield "acme.tines.com", f"/webhook/{some(hexes, 32)}/{tines}", "tines_webhook", "webhook", tines
        yield "api.telegram.org", f"/bot{bot}/sendMessage", "telegram_bot", "api_key", bot
        yield "vault.corp.test", f"/v1/auth/token/renew/{vault}", "vault_in_path", "service_account", vault
        yield "app.corp.test", f"/reset/{reset}/now", "github_pat_fine", "api_key", reset
        yield "app.corp.test", f"/verify/{signed}", "jwt", "oauth_access", signed
        yield "app.corp.test", f"/services/T01ABCDEF/B01ABCDEF/{(other := rig.random_text(24))}", None, None, other

    for version in (None, *VERSIONS):
        with rig.case(f"secrets in paths ({'curl, ' + version[2:] if version else 'Python requests'})"):
            for host, path, found, kind, secret in wanted():
                place.get(place.url(path), version, host)
                if found:
                    shown = path.replace("bot" + secret, "{...}").replace(secret, "{...}").split("?")[0]
                    for part in ("x@y", "1234567", "123456789012345678"):
                        shown = shown.replace(f"/{part}/", "/{...}/")
                    if found == "tines_webhook":
                        shown = "/webhook/{...}/{...}"
                    place.seen(secret, "path", path=shown, kind=kind, **{"class": found})
                else:
                    after = rig.token()
                    place.curl("--http1.1", "-H", f"X-Api-Key: {after}")
                    place.seen(after, "x-api-key")
                    place.unseen(secret)
                with open(place.sensor.out_path, encoding="utf-8") as f:
                    rig.need(secret not in f.read(), "a secret was told")


def userinfo(place):
    with rig.case("a user's password in an address is never told, as a proxy sees it and as an authority"):
        secret, other = rig.random_text(30), rig.token()
        with socket.create_connection(("127.0.0.1", place.nginx.plain)) as s:
            s.sendall(f"GET http://ann:{secret}@files.corp.test/ann:{secret}@x HTTP/1.1\r\n"
                      f"Host: ann:{secret}@files.corp.test\r\nX-Api-Key: {other}\r\nConnection: close\r\n\r\n".encode())
            while s.recv(4096):
                pass
        uses = place.sensor.wait_uses(place.sensor.ids([other])[0], 2)
        rig.need_equal({u["server"]["address"] for u in uses}, {"files.corp.test"}, "hosts")
        rig.need_equal({u["http"]["path"] for u in uses}, {"/{...}"}, "paths")
        place.unseen(secret)


def disclosures(place):
    def part(value):
        return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")
    for version in VERSIONS:
        with rig.case(f"an SD-JWT is one token, whatever of it is shown, and nothing of that is told ({version[2:]})"):
            who = rig.random_text(12)
            jwt = ".".join((part(json.dumps({"alg": "ES256", "typ": "dc+sd-jwt"})),
                            part(json.dumps({"iss": "https://issuer.test", "sub": who, "exp": 1900000000})),
                            part(rig.random_text(48))))
            secret = rig.random_text(20)
            shown = part(json.dumps([rig.random_text(8), "family_name", secret]))
            for tail in ("~", f"~{shown}~"):
                place.curl(version, "-H", f"Authorization: Bearer {jwt}{tail}")
            uses = place.seen(jwt, "authorization", 2, length=len(jwt))
            rig.need_equal(place.sensor.ids([f"{jwt}~{shown}~"]), [uses[0]["token"]["id"]], "what fingerprint says")
            place.row(jwt, lambda t: t["class"] == "sd_jwt" and t.get("issuer") == "https://issuer.test")
            place.unseen(secret, shown)


def signed(place):
    for version in VERSIONS:
        at = version[2:]
        with rig.case(f"curl --aws-sigv4: the access key's id, told as text, and never the MAC or the secret ({at})"):
            key, secret, session = "AKIA" + rig.random_text(16).upper(), rig.random_text(40), rig.random_text(200)
            for _ in range(2):
                place.curl(version, "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{key}:{secret}", "-H",
                           f"X-Amz-Security-Token: {session}")
            place.seen(key, "authorization", 2, kind="key_id", scheme="aws4-hmac-sha256", length=20,
                       **{"class": "aws_key_long"})
            place.seen(session, "x-amz-security-token", 2, kind="cloud_sts")
            place.unseen(secret)
            ident = place.sensor.ids([key])[0]
            row = [t for t in place.sensor.records("token") if t["token"]["id"] == ident][-1]
            rig.need_equal(row["token"]["public_id"], key, "its text")
        with rig.case(f"curl --digest: the user is an id, and no text ({at})"):
            user, password = "u" + rig.random_text(20), rig.random_text(20)
            place.curl(version, "--digest", "--user", f"{user}:{password}", path="/digest")
            place.seen(user, "authorization", path="/digest", kind="key_id", scheme="digest",
                       **{"class": "signing_key_id"})
            place.unseen(password)
            with open(place.sensor.out_path, encoding="utf-8") as f:
                rig.need(user not in f.read(), "the user was told")
        for scheme, text in (("Hawk", 'id="{}", ts="1353832234", nonce="j4h3g2", mac="{}"'),
                             ("MAC", 'id="{}",nonce="1336363200:dj83hs9s",mac="{}"'), ("SharedKey", "{}:{}="),
                             ("SharedKeyLite", "{}:{}="), ("AWS", "{}:{}="),
                             ("Signature", 'keyId="{}",algorithm="hmac-sha256",signature="{}"')):
            with rig.case(f"{scheme}: the key's id ({at})"):
                key, mac = rig.random_text(20), rig.random_text(43)
                place.curl(version, "-H", f"Authorization: {scheme} {text.format(key, mac)}")
                place.seen(key, "authorization", kind="key_id", scheme=scheme.lower(),
                           **{"class": "signing_key_id"})
                place.unseen(mac)
        with rig.case(f"SharedAccessSignature: what may be used until its end, as in a URL's sig ({at})"):
            sig = base64.b64encode(os.urandom(32)).decode()
            place.curl(version, "-H", "Authorization: SharedAccessSignature sr=https%3A%2F%2Fa.example%2Fq&sig="
                       f"{urllib.parse.quote(sig, safe='')}&se=1999999999&skn=RootManageSharedAccessKey")
            place.seen(sig, "authorization", kind="signed_url", scheme="sharedaccesssignature",
                       **{"class": "azure_sas"})
        with rig.case(f"ApiKey: the key, with its id in front and without ({at})"):
            key, whole = rig.random_text(22), rig.random_text(40)
            pair = base64.b64encode(f"{rig.random_text(20)}:{key}".encode()).decode()
            place.curl(version, "-H", f"Authorization: ApiKey {pair}")
            place.curl(version, "-H", f"Authorization: ApiKey {pair.rstrip('=')}")
            place.curl(version, "-H", f"Authorization: ApiKey {whole}")
            place.seen(key, "authorization", 2, scheme="apikey", length=22)
            place.seen(whole, "authorization", scheme="apikey")
            place.unseen(pair)
    with rig.case("boto3, S3 with a session's key: key id and session token"):
        key, secret, session = "ASIA" + rig.random_text(16).upper(), rig.random_text(40), rig.random_text(300)
        rig.run([peers.program_of(CLOUD), "-c", BOTO, place.url(""), place.authority.ca, key, secret, session])
        place.seen(key, "authorization", path="/signed", kind="key_id", **{"class": "aws_key_sts"})
        place.seen(session, "x-amz-security-token", path="/signed", kind="cloud_sts")
        place.unseen(secret)


NODE_WS = """
const s = new WebSocket(process.argv[1], process.argv.slice(2));
s.onerror = () => process.exit(0);
s.onopen = () => process.exit(0);
"""


def subprotocols(place):
    url = place.url("/ws").replace("https:", "wss:")
    for what, words in (("Kubernetes' bearer token", lambda t: ["base64url.bearer.authorization.k8s.io." +
                         base64.urlsafe_b64encode(t.encode()).decode().rstrip("="), "v4.channel.k8s.io"]),
                        ("OpenAI's key", lambda t: ["realtime", f"openai-insecure-api-key.{t}"]),
                        ("the one behind access_token", lambda t: ["access_token", t])):
        with rig.case(f"WebSocket of Node, subprotocols: {what}"):
            token = rig.token()
            _, _, err = rig.run(["node", "--experimental-websocket", "-e", NODE_WS, url, *words(token)], check=False,
                                env={**os.environ, "NODE_EXTRA_CA_CERTS": place.authority.ca})
            if "bad option" in err:
                raise rig.Skip("this Node has no WebSocket")
            place.seen(token, "sec-websocket-protocol", path="/ws", **{"class": "github_pat_classic"})
    with rig.case("one id as a subprotocol and as a bearer token"):
        token = rig.random_text(40)
        place.curl("--http2", "-H", "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io." +
                   base64.urlsafe_b64encode(token.encode()).decode())
        place.seen(token, "sec-websocket-protocol")
        place.curl("--http1.1", "-H", f"Authorization: Bearer {token}")
        place.sensor.wait_uses(place.sensor.ids([token])[0], 4)


def endings(place):
    for version in VERSIONS:
        with rig.case(f"names that only end like those of credentials ({version[2:]})"):
            key, token, csrf, lock = (rig.random_text(30) for _ in range(4))
            word = rig.random_text(7)
            place.curl(version, "-H", f"X-Acme-Api-Key: {key}", "-H", f"x-acme-access-token: {token}", "-H",
                       f"X-CSRF-Token: {csrf}", "-H", f"Lock-Token: {lock}", "-H", f"X-Retry-Token: {word}")
            place.seen(key, "*-api-key", kind="api_key", **{"class": "generic_header"})
            place.seen(token, "*-token", **{"class": "generic_header"})
            place.unseen(csrf, lock, word)


def crowd(place):
    for version in VERSIONS:
        with rig.case(f"more cookies than a record holds leave a place to Authorization ({version[2:]})"):
            token = rig.token()
            place.curl(version, "-H", "Cookie: sid=aaaaaaaa; session=bbbbbbbb; auth=cccccccc; jwt=dddddddd", "-H",
                       f"Authorization: Bearer {token}")
            place.seen(token, "authorization")


def main():
    rig.need_root()
    place = Place(rig.work_dir("carriers"))
    cookies(place)
    signed_urls(place)
    parameters(place)
    paths(place)
    userinfo(place)
    disclosures(place)
    signed(place)
    subprotocols(place)
    endings(place)
    crowd(place)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(place.sensor.stop(), 0, "status")
    rig.finish()


main()
