#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real OpenID provider (oidc-provider) and the clients that people use: requests-oauthlib, Authlib, openid-client and
Go's oauth2. Of each flow the mint is joined with the token's use at both ends: by one id, with expiry, scope, and the
credential that authorised it; refreshes lead from token to token, and what was revoked is told so.
"""
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import oauth  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
BOTH = ["read", "write"]
ASKED = ["openid", "offline_access", *BOTH]


def machine(story, got, secrets):
    token, secret = got["got"]["access_token"], secrets["cart"]
    with rig.case("requests-oauthlib: client credentials, an opaque token"):
        rig.need_equal((got["uses"], got["refused"]), ([200], "invalid_client"), "answers")
        story.need_mint(token, "access", {"authorization": secret}, grant="client_credentials", life=700,
                        requested=BOTH, granted=BOTH)
        story.need_state(token, "used", parent=secret, scopes=BOTH, life=700, uses=2)
        rig.need_equal(story.statuses(token), {"egress": [200], "ingress": [200]}, "its uses")
    with rig.case("requests-oauthlib: a wrong secret is a failed mint, with the secret that was shown"):
        story.need_failed(secrets["wrong_cart"], "authorization", "invalid_client")


def person(story, got, secrets):
    tokens, shown = got["tokens"], {"authorization": secrets["web"]}
    with rig.case("Authlib: a code becomes three tokens"):
        rig.need_equal((got["uses"], got["active"]), ([200, 200, 200, 401], [True, False]), "answers")
        for role in ("access", "refresh"):
            story.need_mint(tokens[0][f"{role}_token"], role, {**shown, "body:code": None}, life=1100,
                            grant="authorization_code", granted=BOTH)
        story.need_state(tokens[0]["access_token"], "used", scopes=BOTH, life=1100, uses=2)
    with rig.case("what is said of the access token is not taken for the ID token's end and scopes"):
        story.need_state(tokens[0]["id_token"], "minted", life=None, scopes=None)
    with rig.case("Authlib: refresh with rotation leads from token to token"):
        for old, new in zip(tokens, tokens[1:]):
            for role in ("access", "refresh"):
                story.need_mint(new[f"{role}_token"], role, {**shown, "body:refresh_token": old["refresh_token"]},
                                grant="refresh_token", life=1100, requested=ASKED, granted=BOTH)
        for old, new, state in zip(tokens, tokens[1:], ("minted", "revoked")):
            story.need_state(new["refresh_token"], state, previous=old["refresh_token"], life=None)
        story.need_state(tokens[1]["access_token"], "used", parent=tokens[0]["refresh_token"], life=1100, uses=2)
    last = tokens[-1]
    with rig.case("a token's whole story is told in its order"):
        events = list(dict.fromkeys(story.events(last["access_token"])))
        same_time = {"renews", "revoked"}	# as the mint, and the revocation
        rig.need(same_time <= set(events), f"events: {events}")
        rig.need_equal([e for e in events if e not in same_time],
                       ["minted", "first_use", "check", "revoke", "last_use", "expires"], "events")
    with rig.case("Authlib: introspection before and after the end"):
        story.need_checks(last["access_token"], shown, ["ok", "failed"])
    with rig.case("Authlib: revocation of both, and a use that is refused after it"):
        for role in ("access", "refresh"):
            story.need_revoked(last[f"{role}_token"], shown)
        story.need_state(last["access_token"], "revoked", uses=4)
        rig.need_equal(story.statuses(last["access_token"]), {"egress": [200, 401], "ingress": [200, 401]}, "its uses")


def exchange(story, got, secrets, issuer):
    jwt, new, shown = got["jwt"]["access_token"], got["exchanged"]["access_token"], {"body:client_secret": secrets["mesh"]}
    with rig.case("openid-client: client credentials, a JWT"):
        rig.need_equal((got["uses"], got["active"]), ([200, 200, 401], [True, False]), "answers")
        story.need_mint(jwt, "access", shown, grant="client_credentials", client_id="mesh", life=900,
                        audience="urn:api:jwt", requested=BOTH, granted=BOTH)
        story.need_state(jwt, "used", parent=secrets["mesh"], scopes=BOTH, life=900, uses=2, issuer=issuer, subject="mesh",
                         audience=["urn:api:jwt"], jwt_id=oauth.claims_of(jwt)["jti"])
    with rig.case("openid-client: an exchange leads from the JWT to a narrower token"):
        story.need_mint(new, "access", {**shown, "body:subject_token": jwt}, grant=EXCHANGE, client_id="mesh", life=300,
                        audience="urn:api:opaque", requested=["read", "admin"], granted=["read"])
        story.need_state(new, "revoked", parent=jwt, scopes=["read"], life=300, uses=4)
    with rig.case("openid-client: introspection and revocation"):
        story.need_checks(new, shown, ["ok", "failed"])
        story.need_revoked(new, shown)


def go(story, got, secrets):
    through = {"ends": 4, "versions": {"1.1", "2"}}	# the client, both sides of the proxy, the provider
    token, shown = got["service"]["access_token"], {"body:client_secret": secrets["mesh"]}
    with rig.case("Go's oauth2 over HTTP/2: client credentials"):
        rig.need_equal((got["uses"], got["refused"]), ([200, 200], "invalid_client"), "answers")
        story.need_mint(token, "access", shown, grant="client_credentials", client_id="mesh", life=700,
                        requested=["read"], granted=["read"], **through)
        story.need_state(token, "used", parent=secrets["mesh"], scopes=["read"], life=700, uses=4)
    with rig.case("Go's oauth2 over HTTP/2: a wrong secret is a failed mint"):
        story.need_failed(secrets["wrong_mesh"], "body:client_secret", "invalid_client", ends=4)
    with rig.case("Go's oauth2 over HTTP/2: a code, and a refresh before the next use"):
        first, second = got["first"], got["second"]
        for role in ("access", "refresh"):
            story.need_mint(second[f"{role}_token"], role, {"body:client_secret": secrets["desk"],
                                                            "body:refresh_token": first["refresh_token"]},
                            grant="refresh_token", client_id="desk", life=1100, granted=["read"], **through)
        story.need_state(second["refresh_token"], "minted", previous=first["refresh_token"])
        story.need_state(second["access_token"], "used", parent=first["refresh_token"], uses=4)


def main():
    rig.need_root()
    work = rig.work_dir("mint-oauth")
    authority = rig.Authority(work)
    provider = None
    with rig.case("the provider runs"):
        provider = oauth.Provider(work, authority)
    if not provider:
        rig.finish()
    # What a program does while its file is looked at for the first time is missed.
    sensor = rig.Sensor(work, "--set", f"sources.preattach={provider.go_client}")
    got = {}
    for name in ("python", "node", "go"):
        with rig.case(f"the {name} clients do what they do"):
            got[name] = getattr(provider, name)()
    sensor.stop()
    story = oauth.Story(sensor, [*provider.secrets.values(), *oauth.tokens_in(got)])
    if "python" in got:
        machine(story, got["python"]["machine"], provider.secrets)
        person(story, got["python"]["person"], provider.secrets)
    if "node" in got:
        exchange(story, got["node"], provider.secrets, provider.issuer)
    if "go" in got:
        go(story, got["go"], provider.secrets)
    with rig.case("nothing was lost"):
        rig.need_equal({k: v for k, v in sensor.losses().items() if k.startswith("mint_") and k != "mint_compressed"
                        or k == "bad_record"}, {}, "losses")
    rig.finish()


main()
