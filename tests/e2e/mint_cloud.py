#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cloud minters and unchanged SDKs: AWS's STS and metadata services, GCP's and Azure's.

Each SDK asks the addresses and names that it has built in, in a network namespace of the test's own; the
sensor looks from outside. AWS is moto's imitation, but for what moto has not; the others' services are
lib/metadata.py's. Each mint is joined with the use that the SDK makes of it.
"""
import json
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import metadata  # noqa: E402
import netns  # noqa: E402
import peers  # noqa: E402
import rig  # noqa: E402
from mints import both, parts, seconds  # noqa: E402

SDK = os.path.join(peers.HERE, "cloud", "sdk.py")
PYTHON = os.path.join(peers.CACHE, "cloud", "bin", "python")
MOTO = os.path.join(peers.CACHE, "cloud", "bin", "moto_server")
METADATA = "169.254.169.254"
AWS = ("sts.us-east-1.amazonaws.com", "sts.amazonaws.com", "s3.amazonaws.com")
OTHERS = ("storage.googleapis.com", "cart.run.app", "management.azure.com")


class Cloud:
    """One cloud's network, with a service that has a metadata service's address and one at 127.0.0.1:443."""

    def __init__(self, work, authority, addresses, names):
        self.work, self.authority = work, authority
        self.net = netns.Namespace(work, addresses, names)

    def start(self, port, address, argv):
        log = os.path.join(self.work, f"{os.path.basename(argv[0])}-{address}-{port}.log")
        with open(log, "wb") as out:
            process = self.net.spawn(argv, stdout=out, stderr=out)

        def listens():
            with open(log, encoding="utf-8", errors="replace") as f:
                rig.need(process.poll() is None, f"{argv[0]} ended: {f.read()[-300:]}")
            return self.net.listening(port, address)
        rig.wait_until(listens, 30, f"{argv[0]} listens")

    def metadata(self, kind, address=METADATA):
        self.start(80, address, [sys.executable, metadata.__file__, kind, address])

    def sdk(self, *words, **env):
        """What the SDK has, and its environment is no other than this."""
        env = {"PATH": os.environ["PATH"], "HOME": self.work, "AWS_CA_BUNDLE": self.authority.ca,
               "REQUESTS_CA_BUNDLE": self.authority.ca, **env}
        return json.loads(self.net.run([PYTHON, SDK, *words], env=env)[1])


def joined(sensor, got, method, role="session", slack=2):
    """The two ends' records of the mint of what the SDK has; checks what is true of all of them."""
    token = sensor.ids([got["token"]])[0]
    found = both(sensor, token)
    for m in found.values():
        rig.need_equal((m["method"], m["outcome"], m["http"]["status"]), (method, "ok", 200), "what it was")
        rig.need_equal(parts(m, "minted"), {role: token}, "minted")
        if got.get("expires"):
            told = seconds(m["granted"]["expires"])
            rig.need(abs(told - got["expires"]) <= slack, f"expires {told}, the SDK says {got['expires']}")
    used = sensor.wait_uses(token, 2)
    rig.need_equal({u["direction"] for u in used}, {"egress", "ingress"}, "its uses")
    rig.need(all(u["@timestamp"] >= found["egress"]["@timestamp"] for u in used), "the mint is before its uses")
    row = [t for t in sensor.records("token") if t["token"]["id"] == token][-1]
    rig.need_equal(row["minted"]["method"], method, "the token's row")
    return found, used


def carriers(uses):
    return {u["token"]["carrier"] for u in uses}


def aws_sts(sensor, cloud, work):
    keys = {"AWS_ACCESS_KEY_ID": "AKIA" + "I44QH8DHBEXAMPLE", "AWS_SECRET_ACCESS_KEY": rig.random_text(40)}
    with rig.case("boto3, AssumeRole: session token, key id, role and expiry; used for S3"):
        got = cloud.sdk("assume_role", "1800", **keys)
        found, used = joined(sensor, got, "aws_sts")
        for m in found.values():
            rig.need_equal((m["grant"], m["client_id"], m["requested"]["life"], m["granted"]["key_id"]),
                           ("AssumeRole", "cart", 1800, got["key"]), "what was asked and granted")
            rig.need_equal(m["subject"], "arn:aws:iam::123456789012:role/reader", "role")
        rig.need_equal(carriers(used), {"x-amz-security-token"}, "carriers")
        rig.need_equal({u["server"]["address"] for u in used}, {"s3.amazonaws.com"}, "server")
    with rig.case("boto3, GetSessionToken: and GetCallerIdentity mints nothing"):
        before = len(sensor.records("mint"))
        got = cloud.sdk("get_session_token", "900", **keys)
        found, _ = joined(sensor, got, "aws_sts")
        rig.need_equal({m["grant"] for m in found.values()}, {"GetSessionToken"}, "grant")
        rig.need_equal(len(sensor.records("mint")) - before, 2, "records of mints")
    with rig.case("boto3, a presigned URL: the session token is used in a query"):
        _, used = joined(sensor, cloud.sdk("presigned", **keys), "aws_sts")
        rig.need_equal(carriers(used), {"query:x-amz-security-token"}, "carriers")
    with rig.case("boto3, AssumeRoleWithWebIdentity: the pod's token is the parent"):
        pod = metadata.jwt({"iss": "https://oidc.eks.us-east-1.amazonaws.com/id/A1", "aud": ["sts.amazonaws.com"],
                            "sub": "system:serviceaccount:shop:cart", "exp": 2000000000})
        path = os.path.join(work, "web-identity")
        with open(path, "w", encoding="ascii") as f:
            f.write(pod)
        got = cloud.sdk("default_chain", AWS_WEB_IDENTITY_TOKEN_FILE=path, AWS_ROLE_SESSION_NAME="cart",
                        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/pod-reader")
        rig.need_equal(got["method"], "assume-role-with-web-identity", "how the SDK came by it")
        found, _ = joined(sensor, got, "aws_sts")
        for m in found.values():
            rig.need_equal((m["grant"], m["subject"]),
                           ("AssumeRoleWithWebIdentity", "arn:aws:iam::123456789012:role/pod-reader"), "asked")
            rig.need_equal(parts(m, "parent"), {"body:WebIdentityToken": sensor.ids([pod])[0]}, "parent")


def aws_metadata(sensor, cloud, work):
    with rig.case("boto3, EC2's IMDSv2: the session, used for the role, whose session is used for STS"):
        got = cloud.sdk("default_chain")
        rig.need_equal(got["method"], "iam-role", "how the SDK came by it")
        found, _ = joined(sensor, got, "aws_imds_role")
        for m in found.values():
            rig.need_equal((m["peer" if m["direction"] == "egress" else "server"].get("port"), m["subject"]),
                           (80, "default-role"), "port, role")
        rig.need_equal(found["egress"]["peer"]["ip"], METADATA, "address")
        instance = sensor.ids(["fake-imdsv2-token"])[0]  # what moto always says
        rig.need_equal(parts(found["egress"], "parent"), {"x-aws-ec2-metadata-token": instance}, "parent")
        rig.need_equal({m["method"] for m in both(sensor, instance).values()}, {"aws_imds_token"}, "its own mint")
        rig.need_equal(carriers(sensor.uses(instance)), {"x-aws-ec2-metadata-token"}, "carriers")
    with rig.case("boto3, an ECS task's role at 169.254.170.2"):
        cloud.metadata("ecs", "169.254.170.2")
        got = cloud.sdk("default_chain", AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/"
                        "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
        rig.need_equal(got["method"], "container-role", "how the SDK came by it")
        found, _ = joined(sensor, got, "aws_ecs")
        rig.need_equal(found["egress"]["peer"]["ip"], "169.254.170.2", "address")
        rig.need_equal((found["egress"]["granted"]["key_id"], found["egress"]["subject"]),
                       (got["key"], "arn:aws:iam::123456789012:role/" + metadata.ROLE), "key id and role")
    with rig.case("boto3, an EKS pod's role at 169.254.170.23: the pod's token is the parent"):
        cloud.metadata("eks", "169.254.170.23")
        pod = metadata.jwt({"iss": "https://oidc.eks.us-east-1.amazonaws.com/id/A1", "exp": 2000000000,
                            "aud": ["pods.eks.amazonaws.com"], "sub": "system:serviceaccount:shop:cart"})
        path = os.path.join(work, "pod-identity")
        with open(path, "w", encoding="ascii") as f:
            f.write(pod)
        got = cloud.sdk("default_chain", AWS_CONTAINER_CREDENTIALS_FULL_URI="http://169.254.170.23/v1/credentials",
                        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=path)
        found, _ = joined(sensor, got, "aws_eks_pod")
        rig.need_equal(parts(found["egress"], "parent"), {"authorization": sensor.ids([pod])[0]}, "parent")
        rig.need_equal(found["egress"]["granted"]["account"], "123456789012", "account")


def aws(sensor, work, authority):
    cloud = Cloud(work, authority, [METADATA, "169.254.170.2", "169.254.170.23"], dict.fromkeys(AWS, "127.0.0.1"))
    cloud.start(443, "127.0.0.1", [MOTO, "-H", "127.0.0.1", "-p", "443", "-s", "-c", authority.cert, "-k", authority.key])
    cloud.start(80, METADATA, [MOTO, "-H", METADATA, "-p", "80"])
    aws_sts(sensor, cloud, work)
    aws_metadata(sensor, cloud, work)
    with rig.case("boto3, EC2's IMDSv1: no session comes before the role's"):
        old = Cloud(work, authority, [METADATA], dict.fromkeys(AWS, "127.0.0.1"))
        old.start(443, "127.0.0.1", [MOTO, "-H", "127.0.0.1", "-p", "443", "-s", "-c", authority.cert,
                                     "-k", authority.key])
        old.metadata("ec2")
        got = old.sdk("default_chain")
        found, _ = joined(sensor, got, "aws_imds_role")
        rig.need_equal((found["egress"]["subject"], parts(found["egress"], "parent")), (metadata.ROLE, {}),
                       "role and parents")
        failed = [m for m in sensor.records("mint") if m["method"] == "aws_imds_token" and m["outcome"] == "failed"]
        rig.need_equal([m["http"]["status"] for m in failed], [405] * 2, "the refused request for a session")


def agent_certificate(work):
    """The workload certificate of an agent's identity, as google-auth finds it."""
    cert, key, config = (os.path.join(work, n) for n in ("agent.crt", "agent.key", "certificate_config.json"))
    rig.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=agent", "-addext",
             "subjectAltName=URI:spiffe://agents.global.org-1234.system.id.goog/resources/cart",
             "-keyout", key, "-out", cert])
    with open(config, "w", encoding="ascii") as f:
        json.dump({"version": 1, "cert_configs": {"workload": {"cert_path": cert, "key_path": key}}}, f)
    return config


def google(sensor, work, authority):
    cloud = Cloud(work, authority, [METADATA], {"metadata.google.internal": METADATA,
                                                **dict.fromkeys(OTHERS, "127.0.0.1")})
    rig.Nginx(work, authority, place=cloud.net)
    cloud.metadata("gce")
    audience = "https://cart.run.app"
    for how, env in (("GET", {}), ("POST, bound to an agent's certificate",
                                   {"GOOGLE_API_CERTIFICATE_CONFIG": agent_certificate(work)})):
        with rig.case(f"google-auth, an access token of the metadata service by {how}"):
            found, used = joined(sensor, cloud.sdk("google", **env), "gcp_metadata_token", "access", 5)
            rig.need_equal(found["egress"]["http"]["method"], how.partition(",")[0], "method")
            rig.need_equal(found["egress"]["peer"]["ip"], METADATA, "address")
            rig.need_equal({(u["token"]["class"], u["server"]["address"]) for u in used},
                           {("gcp_access", "storage.googleapis.com")}, "class and server of its uses")
        with rig.case(f"google-auth, an ID token of the metadata service by {how}"):
            got = cloud.sdk("google_identity", audience, **env)
            found, used = joined(sensor, {"token": got["token"]}, "gcp_metadata_identity", "id")
            row = [t for t in sensor.records("token") if t["token"]["id"] == used[0]["token"]["id"]][-1]
            rig.need_equal(seconds(row["token"]["expires"]), int(got["expires"]), "expiry, of its claims")
            rig.need_equal(row["token"]["audience"], [audience], "audience")


def azure(sensor, work, authority):
    cloud = Cloud(work, authority, [METADATA], dict.fromkeys(OTHERS, "127.0.0.1"))
    rig.Nginx(work, authority, place=cloud.net)
    cloud.metadata("azure")
    with rig.case("azure-identity, a managed identity's token: numbers as text"):
        found, used = joined(sensor, cloud.sdk("azure"), "azure_imds", "access", 5)
        for m in found.values():
            rig.need_equal(m["requested"]["audience"], "https://management.azure.com", "resource")
        rig.need_equal({u["server"]["address"] for u in used}, {"management.azure.com"}, "server")


def main():
    rig.need_root()
    if not os.path.exists(MOTO):
        with rig.case("clouds' SDKs"):
            peers.program_of(MOTO)
        rig.finish()
    d = rig.work_dir("mintcloud")
    authority = rig.Authority(d, (*AWS, *OTHERS))
    sensor = rig.Sensor(d)
    aws(sensor, d, authority)
    google(sensor, d, authority)
    azure(sensor, d, authority)
    with rig.case("nothing was lost"):
        sensor.stop()
        rig.need_equal({k: v for k, v in sensor.losses().items() if k.startswith(("mint_", "bad_record"))}, {}, "losses")
    rig.finish()


main()
