# SPDX-License-Identifier: Apache-2.0
"""Authlib against Keycloak: keycloak_client.py ISSUER CA; see ../README.md. Secrets are a JSON object on standard
input; what was got goes to standard output, as one."""
import json
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class Client:
    """A session of one client, and what its requests came to."""

    def __init__(self, issuer, ca, name, secret, how):
        self.paths = issuer + "/protocol/openid-connect/"
        self.session = OAuth2Session(name, secret, token_endpoint_auth_method=how)
        self.session.verify = ca

    def get(self, **what):
        return dict(self.session.fetch_token(self.paths + "token", **what))

    def refresh(self, token):
        return dict(self.session.refresh_token(self.paths + "token", refresh_token=token))

    def use(self, token):
        self.session.token = {"access_token": token, "token_type": "Bearer"}
        return self.session.get(self.paths + "userinfo").status_code

    def active(self, token):
        return self.session.introspect_token(self.paths + "token/introspect", token=token).json()["active"]

    def revoke(self, token, kind):
        assert self.session.revoke_token(self.paths + "revoke", token=token, token_type_hint=kind).ok


def main():
    issuer, ca = sys.argv[1:]
    secrets = json.load(sys.stdin)
    cart = Client(issuer, ca, "cart", secrets["cart"], "client_secret_basic")
    web = Client(issuer, ca, "web", secrets["web"], "client_secret_post")
    mesh = Client(issuer, ca, "mesh", secrets["mesh"], "client_secret_basic")

    machine = cart.get(grant_type="client_credentials", scope="openid")
    uses = {"machine": [cart.use(machine["access_token"])]}
    try:
        Client(issuer, ca, "cart", secrets["wrong"], "client_secret_basic").get(grant_type="client_credentials")
        raise SystemExit("a wrong secret was not refused")
    except OAuthError as e:
        refused = e.error

    first = web.get(grant_type="password", username="someone", password=secrets["person"], scope="openid")
    uses["first"] = [web.use(first["access_token"])]
    second = web.refresh(first["refresh_token"])
    uses["second"] = [web.use(second["access_token"])]
    exchanged = mesh.get(grant_type=EXCHANGE, subject_token=second["access_token"], subject_token_type=ACCESS_TOKEN,
                         audience="stock", scope="openid")
    uses["exchanged"] = [mesh.use(exchanged["access_token"])]
    active = [web.active(second["access_token"])]
    web.revoke(second["access_token"], "access_token")
    uses["second"].append(web.use(second["access_token"]))
    active.append(web.active(second["access_token"]))
    web.revoke(second["refresh_token"], "refresh_token")
    print(json.dumps({"machine": machine, "first": first, "second": second, "exchanged": exchanged, "uses": uses,
                      "active": active, "refused": refused}))


main()
