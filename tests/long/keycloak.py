#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keycloak as the minter, Authlib as its client: client credentials, a password's tokens, refresh with rotation, standard
token exchange, introspection, revocation. Behind a proxy all four ends tell the same; with Java's own TLS, which can't be
seen, the client's end alone does.
"""
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import oauth  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

UP = os.path.join(rig.ROOT, "tests", "lib", "keycloak-up.sh")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SCOPES = ["openid", "profile", "email"]
LIFE, REFRESH_LIFE = 400, 1800
FRONT = """location /realms {{
	proxy_pass http://127.0.0.1:{port};
	proxy_http_version 1.1;
	proxy_set_header Host $http_host;
	proxy_set_header X-Forwarded-Proto https;
	proxy_set_header X-Forwarded-Port $server_port;
}}
"""


def audience(client):
    return {"name": f"for {client}", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.client.audience": client, "access.token.claim": "true",
                       "introspection.token.claim": "true"}}


def realm(secrets):
    """mesh may exchange what web got, for stock."""
    def client(name, **more):
        return {"clientId": name, "secret": secrets[name], "standardFlowEnabled": False, **more}
    return {"realm": "shop", "enabled": True, "accessTokenLifespan": LIFE, "revokeRefreshToken": True,
            "refreshTokenMaxReuse": 0, "ssoSessionIdleTimeout": REFRESH_LIFE, "clients": [
                client("cart", serviceAccountsEnabled=True),
                client("web", directAccessGrantsEnabled=True, protocolMappers=[audience("mesh")]),
                client("mesh", attributes={"standard.token.exchange.enabled": "true"}, protocolMappers=[audience("stock")]),
                {"clientId": "stock", "bearerOnly": True}],
            "users": [{"username": "someone", "enabled": True, "email": "someone@app.test", "emailVerified": True,
                       "firstName": "Some", "lastName": "One",
                       "credentials": [{"type": "password", "value": secrets["person"], "temporary": False}]}]}


class Keycloak:
    def __init__(self, work, authority):
        self.port, self.tls = rig.free_port(), rig.free_port()
        self.secrets = {name: rig.random_text(40) for name in ("admin", "cart", "web", "mesh", "person", "wrong")}
        self.log = os.path.join(work, "keycloak.log")
        with open(self.log, "wb") as log:
            self.process = rig.spawn([UP, "run", str(self.port), str(self.tls), authority.cert, authority.key],
                                     stdout=log, stderr=subprocess.STDOUT,
                                     env={**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
                                          "KC_BOOTSTRAP_ADMIN_PASSWORD": self.secrets["admin"]})
        rig.wait_until(self.runs, 600, "Keycloak listens")
        self.ask("/admin/realms", json.dumps(realm(self.secrets)).encode(),
                 {"Content-Type": "application/json", "Authorization": f"Bearer {self.administrator()}"})

    def runs(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                raise AssertionError(f"Keycloak ended: {f.read()[-400:]}")
        return rig.listening(self.port) and rig.listening(self.tls)

    def ask(self, path, body, headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body, headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
            return answer.read()

    def administrator(self):
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": self.secrets["admin"]}
        got = self.ask("/realms/master/protocol/openid-connect/token", urllib.parse.urlencode(form).encode(), {})
        return json.loads(got)["access_token"]


def answered(got):
    rig.need_equal((got["uses"], got["active"], got["refused"]),
                   ({"machine": [200], "first": [200], "second": [200, 401], "exchanged": [200]}, [True, False],
                    "unauthorized_client"), "answers")


def machine(story, got, secrets, ends):
    token, shown = got["machine"]["access_token"], {"authorization": secrets["cart"]}
    claims = oauth.claims_of(token)
    with rig.case("client credentials, a JWT"):
        story.need_mint(token, "access", shown, ends=ends, grant="client_credentials", life=LIFE, requested=["openid"],
                        granted=SCOPES)
        story.need_state(token, "used", parent=secrets["cart"], scopes=SCOPES, life=LIFE, uses=ends, issuer=claims["iss"],
                         client_id="cart", subject_kind="machine", jwt_id=claims["jti"])
    with rig.case("a wrong secret is a failed mint, with the secret that was shown"):
        story.need_failed(secrets["wrong"], "authorization", "unauthorized_client", ends=ends)


def person(story, got, secrets, ends):
    first, second, shown = got["first"], got["second"], {"body:client_secret": secrets["web"]}
    with rig.case("a password becomes three tokens"):
        for role in ("access", "refresh", "id"):
            story.need_mint(first[f"{role}_token"], role, {**shown, "body:password": secrets["person"]}, ends=ends,
                            grant="password", client_id="web", life=LIFE, requested=["openid"], granted=SCOPES)
        story.need_state(first["access_token"], "used", scopes=SCOPES, life=LIFE, uses=ends, audience=["mesh"])
        story.need_state(first["refresh_token"], "minted", life=REFRESH_LIFE)
        story.need_state(first["id_token"], "minted", life=None, scopes=None)
    with rig.case("refresh with rotation leads from token to token"):
        for role in ("access", "refresh"):
            story.need_mint(second[f"{role}_token"], role, {**shown, "body:refresh_token": first["refresh_token"]},
                            ends=ends, grant="refresh_token", client_id="web", life=LIFE, granted=SCOPES)
        story.need_state(second["refresh_token"], "revoked", previous=first["refresh_token"], life=REFRESH_LIFE)
        story.need_state(second["access_token"], "revoked", parent=first["refresh_token"], life=LIFE, uses=2 * ends)
    with rig.case("introspection before and after the end, and the revocation of both"):
        story.need_checks(second["access_token"], shown, ["ok", "failed"], ends=ends)
        for role in ("access", "refresh"):	# this client shows its secret otherwise here
            story.need_revoked(second[f"{role}_token"], {"authorization": secrets["web"]}, ends=ends)
        seen = story.statuses(second["access_token"])
        rig.need_equal(seen, {way: sorted([200, 401] * (ends // 2)) for way in seen}, "its uses")


def exchange(story, got, secrets, ends):
    token = got["exchanged"]["access_token"]
    with rig.case("standard token exchange leads from one token to that for another audience"):
        story.need_mint(token, "access", {"authorization": secrets["mesh"],
                                          "body:subject_token": got["second"]["access_token"]},
                        ends=ends, grant=EXCHANGE, life=LIFE, requested=["openid"], audience="stock", granted=SCOPES)
        story.need_state(token, "used", parent=got["second"]["access_token"], scopes=SCOPES, life=LIFE, uses=ends,
                         audience=["stock"], client_id="mesh")


def one_end(sensor, got, secrets):
    """Java's own TLS: the client's end tells what it is, the server's end tells that it is blind."""
    story = oauth.Story(sensor, [*secrets.values(), *oauth.tokens_in(got)])
    with rig.case("with Java's own TLS the client's end tells of the mint and of the use"):
        token = got["machine"]["access_token"]
        mints = [m for m in sensor.records("mint") if story.ids[token] in [t["id"] for t in m["tokens"]]]
        rig.need_equal([(m["direction"], m["outcome"]) for m in mints], [("egress", "ok")], "its mint")
        story.need_parents(mints[0], {"authorization": secrets["cart"]})
        rig.need_equal(story.statuses(token), {"egress": [200], "ingress": []}, "its uses")


def flows(keycloak, issuer, env, authority):
    got = oauth.feed([oauth.sdk_python(), os.path.join(oauth.HERE, "sdks", "keycloak_client.py"), issuer, authority.ca],
                     keycloak.secrets, env, 300)
    answered(got)
    return got


def main():
    rig.need_root()
    work = rig.work_dir("keycloak")
    authority = rig.Authority(work)
    keycloak, got = None, {}
    with rig.case("Keycloak runs"):
        oauth.sdk_python()
        keycloak = Keycloak(work, authority)
    if not keycloak:
        rig.finish()
    nginx = rig.Nginx(work, authority, more=FRONT.format(port=keycloak.port))
    env = oauth.trusting(authority)
    for name, port in (("behind a proxy", nginx.tls), ("with Java's own TLS", keycloak.tls)):
        sensor = rig.Sensor(work)
        with rig.case(f"{name}: every flow ends as it does without the sensor"):
            got[name] = flows(keycloak, f"https://localhost:{port}/realms/shop", env, authority)
        sensor.stop()
        if name not in got:
            continue
        if port == keycloak.tls:
            one_end(sensor, got[name], keycloak.secrets)
            continue
        story = oauth.Story(sensor, [*keycloak.secrets.values(), *oauth.tokens_in(got[name])])
        for part in (machine, person, exchange):
            part(story, got[name], keycloak.secrets, 4)
    rig.end(keycloak.process, seconds=60)
    rig.finish()


main()
