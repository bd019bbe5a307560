#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mints with an unchanged SDK and uses what was minted; prints what the SDK has, as one line of JSON.

    sdk.py NAME [ARGUMENT...]     NAME: a function below

No endpoint is set: the SDKs look where they always look, and find it in the test's network namespace.
"""
import json
import sys
import time

REGION = "us-east-1"


def session_of(credentials):
    import boto3
    return boto3.Session(aws_access_key_id=credentials["AccessKeyId"], region_name=REGION,
                         aws_secret_access_key=credentials["SecretAccessKey"],
                         aws_session_token=credentials["SessionToken"])


def told(credentials):
    return {"token": credentials["SessionToken"], "key": credentials["AccessKeyId"],
            "expires": credentials["Expiration"].timestamp()}


def role(seconds):
    import boto3
    return boto3.client("sts", region_name=REGION).assume_role(
        RoleArn="arn:aws:iam::123456789012:role/reader", RoleSessionName="cart",
        DurationSeconds=int(seconds))["Credentials"]


def assume_role(seconds):
    got = role(seconds)
    session_of(got).client("s3").list_buckets()
    return told(got)


def get_session_token(seconds):
    import boto3
    got = boto3.client("sts", region_name=REGION).get_session_token(DurationSeconds=int(seconds))["Credentials"]
    session_of(got).client("sts").get_caller_identity()
    return told(got)


def presigned():
    """The session token goes into the address of a request without any other credential."""
    import requests
    got = role(900)
    url = session_of(got).client("s3").generate_presigned_url("list_buckets")
    requests.get(url, timeout=10).raise_for_status()
    return told(got)


def default_chain():
    """What boto3 finds by itself: a web identity, an instance's or a task's or a pod's role."""
    import boto3
    session = boto3.Session(region_name=REGION)
    credentials = session.get_credentials()
    frozen = credentials.get_frozen_credentials()
    session.client("sts").get_caller_identity()
    return {"token": frozen.token, "key": frozen.access_key, "method": credentials.method,
            "expires": credentials._expiry_time.timestamp()}  # pylint: disable=protected-access


def utc(moment):
    import datetime
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def google():
    import google.auth.transport.requests as transport
    from google.auth import compute_engine
    credentials = compute_engine.Credentials()
    answer = transport.AuthorizedSession(credentials).get("https://storage.googleapis.com/storage/v1/b", timeout=10)
    answer.raise_for_status()
    return {"token": credentials.token, "expires": utc(credentials.expiry)}


def google_identity(audience):
    import google.auth.transport.requests as transport
    from google.auth import compute_engine
    credentials = compute_engine.IDTokenCredentials(transport.Request(), audience, use_metadata_identity_endpoint=True)
    transport.AuthorizedSession(credentials).get(audience + "/cart", timeout=10).raise_for_status()
    return {"token": credentials.token, "expires": utc(credentials.expiry)}


def azure():
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest
    from azure.identity import ManagedIdentityCredential
    scope = "https://management.azure.com/.default"
    credential = ManagedIdentityCredential()
    client = PipelineClient("https://management.azure.com",
                            policies=[BearerTokenCredentialPolicy(credential, scope)])
    client.send_request(HttpRequest("GET", "https://management.azure.com/subscriptions?api-version=2022-12-01")).raise_for_status()
    got = credential.get_token(scope)  # of its cache
    return {"token": got.token, "expires": got.expires_on}


def vault(base, ca):
    """A role's login and a person's at Vault; the administrator's token comes on standard input."""
    import hvac
    root = hvac.Client(url=base, token=sys.stdin.readline().strip(), verify=ca)
    root.sys.create_or_update_policy("shop-read", 'path "secret/data/shop" { capabilities = ["read"] }')
    root.secrets.kv.v2.create_or_update_secret("shop", {"note": "nothing"})
    for method in ("approle", "userpass"):
        root.sys.enable_auth_method(method)
    root.auth.approle.create_or_update_approle("cart", token_policies=["shop-read"], token_ttl="20m")
    role = root.auth.approle.read_role_id("cart")["data"]["role_id"]
    secret = root.auth.approle.generate_secret_id("cart")["data"]["secret_id"]
    password = "made-up-" + role
    root.auth.userpass.create_or_update_user("kim", password=password, token_policies=["shop-read"], token_ttl="10m")
    told = {"secret": secret, "password": password}
    for name, login in (("approle", lambda c: c.auth.approle.login(role, secret)),
                        ("userpass", lambda c: c.auth.userpass.login("kim", password))):
        client = hvac.Client(url=base, verify=ca)
        got = login(client)["auth"]
        client.secrets.kv.v2.read_secret_version("shop", raise_on_deleted_version=True)
        told[name] = {"token": got["client_token"], "life": got["lease_duration"], "policies": got["policies"],
                      "at": time.time()}
        if name == "userpass":
            client.auth.token.revoke_self()
    return told


def main():
    print(json.dumps({**globals()[sys.argv[1]](*sys.argv[2:]), "now": time.time()}))


if __name__ == "__main__":
    main()
