# SPDX-License-Identifier: Apache-2.0
"""requests-oauthlib and Authlib: oauth_client.py ISSUER CA; see ../README.md. Secrets are a JSON object on standard
input; what was got goes to standard output, as one."""
import json
import sys
import urllib.parse

import requests
from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidClientError
from requests_oauthlib import OAuth2Session

BACK = "https://app.test/back"


def machine(issuer, ca, secrets):
    """Client credentials, with the right secret and a wrong one."""
    session = OAuth2Session(client=BackendApplicationClient(client_id="cart", scope=["read", "write"]))
    got = session.fetch_token(issuer + "/token", client_id="cart", client_secret=secrets["cart"], verify=ca)
    status = session.get(issuer + "/api/cart", verify=ca).status_code
    refused = OAuth2Session(client=BackendApplicationClient(client_id="cart", scope=["admin"]))
    try:
        refused.fetch_token(issuer + "/token", client_id="cart", client_secret=secrets["wrong_cart"], verify=ca)
    except InvalidClientError as e:
        return {"got": got, "uses": [status], "refused": e.error}
    raise SystemExit("a wrong secret was not refused")


def code(url, ca):
    """What the provider sends the browser back with; nobody is at that address."""
    browser = requests.Session()
    browser.verify = ca
    while not url.startswith(BACK):
        answer = browser.get(url, allow_redirects=False)
        assert answer.is_redirect, (url, answer.status_code, answer.text[:500])
        url = urllib.parse.urljoin(url, answer.headers["location"])
    return url


def person(issuer, ca, secrets):
    """A code, two refreshes with rotation, introspection, and the end of both tokens."""
    session = Authlib("web", secrets["web"], scope="openid offline_access read write", redirect_uri=BACK,
                      code_challenge_method="S256")
    session.verify = ca
    verifier = "v" * 50
    url, _ = session.create_authorization_url(issuer + "/auth", code_verifier=verifier, prompt="consent")
    tokens = [dict(session.fetch_token(issuer + "/token", authorization_response=code(url, ca), code_verifier=verifier))]
    uses = [session.get(issuer + "/api/web").status_code]
    for _ in range(2):
        tokens.append(dict(session.refresh_token(issuer + "/token", refresh_token=tokens[-1]["refresh_token"])))
        uses.append(session.get(issuer + "/api/web").status_code)
    access = tokens[-1]["access_token"]
    active = [session.introspect_token(issuer + "/token/introspection", token=access).json()["active"]]
    assert session.revoke_token(issuer + "/token/revocation", token=access).ok
    uses.append(session.get(issuer + "/api/web").status_code)
    active.append(session.introspect_token(issuer + "/token/introspection", token=access).json()["active"])
    assert session.revoke_token(issuer + "/token/revocation", token=tokens[-1]["refresh_token"],
                                token_type_hint="refresh_token").ok
    return {"tokens": tokens, "uses": uses, "active": active}


def main():
    issuer, ca = sys.argv[1:]
    secrets = json.load(sys.stdin)
    print(json.dumps({"machine": machine(issuer, ca, secrets), "person": person(issuer, ca, secrets)}))


main()
