#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What responses say of a token (nginx's heads, read by curl, over HTTP/1 and HTTP/2) becomes facts of it: scopes,
expiry, why it was refused; the server's name for a request is in the use's record. A change is told, a repeat is
not, and a secret in such a field never."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

LEAK = rig.random_text(36)
HEADS = f"""
location /github {{
	add_header X-OAuth-Scopes "repo, read:org, gist";
	add_header X-Accepted-OAuth-Scopes "repo";
	add_header GitHub-Authentication-Token-Expiration "2031-12-31 23:59:59 UTC";
	add_header X-GitHub-Request-Id "$request_id";
	add_header Audit-ID "6f1e2a54-0d1c-4c57-8f6b-0a6a1f6c2b11";
	return 200 ok;
}}
location /narrowed {{
	add_header X-OAuth-Scopes "gist";
	return 200 ok;
}}
location /refused {{
	add_header WWW-Authenticate 'Bearer realm="r", error="insufficient_scope", scope="admin:org", resource_metadata="https://mcp.test/.well-known/oauth-protected-resource"' always;
	return 403 no;
}}
location /session {{
	add_header Set-Cookie "JSESSIONID={LEAK}; Path=/";
	add_header DPoP-Nonce "{LEAK}";
	return 200 ok;
}}
location /leaks {{
	add_header X-OAuth-Scopes "repo, ghp_{LEAK}";
	add_header WWW-Authenticate "Bearer ghp_{LEAK}";
	add_header X-GitHub-Request-Id "ghp_{LEAK}";
	return 200 ok;
}}
"""


def ask(authority, nginx, version, token, *paths):
    """On one connection."""
    args = ["curl", "-sS", "--cacert", authority.ca, version]
    for i, path in enumerate(paths):
        args += (["--next", "--cacert", authority.ca, version] if i else []) + [
            "-o", "/dev/null", "-H", f"Authorization: Bearer {token}", f"https://localhost:{nginx.tls}{path}"]
    rig.run(args)


def both(sensor, token_id, count):
    """Its uses, as curl and nginx had them."""
    uses = sensor.wait_uses(token_id, 2 * count)
    rig.need_equal(sorted(u["direction"] for u in uses), ["egress"] * count + ["ingress"] * count, "uses")
    return uses


def row_of(sensor, token_id, truth):
    def row():
        rows = [r for r in sensor.records("token") if r["token"]["id"] == token_id]
        return rows[-1] if rows and truth(rows[-1]["token"]) else None
    return rig.wait_until(row, 15, "the token's row tells it")


def story(sensor, authority, nginx, version):
    token = rig.token()
    token_id = sensor.ids([token])[0]
    with rig.case(f"scopes, expiry and the request's id are told ({version[2:]})"):
        ask(authority, nginx, version, token, "/github", "/github", "/github")
        for u in both(sensor, token_id, 3):     # of two names the last one's
            rig.need_equal(u["http"].get("request"), {"id": "6f1e2a54-0d1c-4c57-8f6b-0a6a1f6c2b11",
                                                      "id_header": "audit-id"}, u["direction"])
        row = row_of(sensor, token_id, lambda t: "scopes" in t)["token"]
        rig.need_equal(row["scopes"], ["repo", "read:org", "gist"], "scopes")
        rig.need_equal(row["needed_scopes"], ["repo"], "needed scopes")
        rig.need(row["expires"].startswith("2031-12-31T23:59:59"), row["expires"])
        rig.need_equal(row["expiry_rule"], "header", "expiry rule")
        rig.need_equal(row["class"], "github_pat_classic", "class")
    with rig.case(f"a change is told, there and back ({version[2:]})"):
        for path, scopes in (("/narrowed", ["gist"]), ("/github", ["repo", "read:org", "gist"]),
                             ("/narrowed", ["gist"])):
            ask(authority, nginx, version, token, path)
            row_of(sensor, token_id, lambda t, want=scopes: t["scopes"] == want)
    with rig.case(f"why it was refused is told, and no realm ({version[2:]})"):
        ask(authority, nginx, version, token, "/refused")
        row = row_of(sensor, token_id, lambda t: "error=insufficient_scope" in t.get("answers", ""))["token"]
        rig.need_equal(row["answers"], ["challenge=Bearer", "error=insufficient_scope",
                       "resource_metadata=https://mcp.test/.well-known/oauth-protected-resource"], "answers")
        rig.need_equal(row["needed_scopes"], ["repo", "admin:org"], "needed scopes add up")
    with rig.case(f"a session's cookie and a nonce are told by name, and their values not ({version[2:]})"):
        ask(authority, nginx, version, token, "/session")
        row = row_of(sensor, token_id, lambda t: "dpop_nonce" in t["answers"])["token"]
        rig.need("set_cookie=JSESSIONID" in row["answers"], row["answers"])
    with rig.case(f"a secret in such a field is hidden ({version[2:]})"):
        other = rig.token()
        other_id = sensor.ids([other])[0]
        ask(authority, nginx, version, other, "/leaks")
        rig.need(all("request" not in u["http"] for u in both(sensor, other_id, 1)), "a request id that could be a secret")
        row = row_of(sensor, other_id, lambda t: "scopes" in t)["token"]
        rig.need_equal(row["scopes"], ["repo"], "scopes")
        text = json.dumps(sensor.records("token") + sensor.records())
        rig.need(LEAK[:12] not in text and LEAK[-12:] not in text, "a piece of it came out")


def nothing_new(sensor, authority, nginx, version):
    with rig.case(f"a response without such fields tells nothing ({version[2:]})"):
        token = rig.token()
        token_id = sensor.ids([token])[0]
        ask(authority, nginx, version, token, "/plain", "/plain")
        uses = both(sensor, token_id, 2)
        rig.need_equal({u["http"]["status"] for u in uses}, {200}, "statuses")
        rig.need(all("request" not in u["http"] for u in uses), "a request id from nowhere")
        rows = [r["token"] for r in sensor.records("token") if r["token"]["id"] == token_id]
        rig.need(rows and all("scopes" not in r and "answers" not in r for r in rows), "facts from nowhere")


def main():
    rig.need_root()
    directory = rig.work_dir("answers")
    authority = rig.Authority(directory)
    one = rig.Nginx(directory, authority, more=HEADS)
    two = rig.Nginx(directory, authority, more=HEADS, http2=True)
    sensor = rig.Sensor(directory)
    for nginx, version in ((one, "--http1.1"), (two, "--http2")):
        story(sensor, authority, nginx, version)
        nothing_new(sensor, authority, nginx, version)
    with rig.case("nothing of a response was cut or lost"):
        rig.need(sensor.losses().get("said_cut", 0) == 0, f"losses {sensor.losses()}")
    rig.finish()


main()
