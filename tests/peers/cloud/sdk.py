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


def main():
    print(json.dumps({**globals()[sys.argv[1]](*sys.argv[2:]), "now": time.time()}))


if __name__ == "__main__":
    main()
