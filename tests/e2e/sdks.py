#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens as the SDKs of models and agents use them: openai's and anthropic's keys have their classes, whatever header
the SDK sends them in, and an MCP client's use of a token (fastmcp, at both ends) is joined with its minting.
"""
import json
import os
import sys

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import oauth  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

SDKS = os.path.join(oauth.HERE, "sdks")
AUDIENCE = "urn:api:jwt"
# Just enough of an answer that the SDKs' models take it.
MODELS = {
    "/openai/v1/chat/completions": {"id": "1", "object": "chat.completion", "created": 1, "model": "small", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]},
    "/openai/v1/models": {"object": "list", "data": [{"id": "small", "object": "model", "created": 1, "owned_by": "me"}]},
    "/anthropic/v1/messages": {"id": "1", "type": "message", "role": "assistant", "model": "small", "stop_reason": "end_turn",
                               "content": [{"type": "text", "text": "hi"}],
                               "usage": {"input_tokens": 1, "output_tokens": 1}},
}


def paths(uses):
    return sorted((u["direction"], u["http"]["method"], u["http"]["path"], u["http"]["status"]) for u in uses)


def both_ends(*requests):
    return sorted((way, method, path, 200) for way in ("egress", "ingress") for method, path in requests)


def models(sensor, nginx, env):
    keys = {"openai": rig.token("sk-" + "proj-", 156), "anthropic": rig.token("sk-ant-" + "api03-", 95)}
    with rig.case("the SDKs of openai and anthropic ask a model"):
        said = oauth.feed([oauth.sdk_python(), os.path.join(SDKS, "llm_client.py"), f"https://localhost:{nginx.tls}"],
                          keys, env)
        rig.need_equal(said, {"openai": "hi", "openai_models": ["small"], "anthropic": "hi"}, "what it said")
    wants = {"openai": ("openai_project", [("POST", "/openai/v1/chat/completions"), ("GET", "/openai/v1/models")]),
             "anthropic": ("anthropic_key", [("POST", "/anthropic/v1/messages")])}
    for name, token in zip(keys, sensor.ids(list(keys.values()))):
        with rig.case(f"{name}: its key is of its class, at both ends"):
            klass, requests = wants[name]
            uses = sensor.wait_uses(token, 2 * len(requests))
            rig.need_equal(paths(uses), both_ends(*requests), "uses")
            rig.need_equal({(u["token"]["class"], u["token"]["kind"], u["token"]["length"]) for u in uses},
                           {(klass, "api_key", len(keys[name]))}, "what it is")


def mcp(provider, work):
    port = rig.free_port()
    with open(os.path.join(work, "mcp.log"), "wb") as log:
        rig.spawn([oauth.sdk_python(), os.path.join(SDKS, "mcp_server.py"), str(port), provider.authority.cert,
                   provider.authority.key, provider.issuer, provider.issuer + "/jwks", AUDIENCE],
                  env=provider.env, stdout=log, stderr=log)
    rig.wait_until(lambda: rig.listening(port), 60, "the MCP server listens")
    got = oauth.feed([oauth.sdk_python(), os.path.join(SDKS, "mcp_client.py"), provider.issuer, AUDIENCE,
                      f"https://localhost:{port}/mcp"], provider.secrets, provider.env)
    rig.need_equal(got["said"], [["add"], 5], "what the server said")
    return got["token"]["access_token"]


def joined(sensor, provider, token):
    story, secret = oauth.Story(sensor, [token, *provider.secrets.values()]), provider.secrets["mesh"]
    with rig.case("MCP: the token's minting and its use are one token's"):
        story.need_mint(token, "access", {"body:client_secret": secret}, grant="client_credentials", client_id="mesh",
                        life=900, audience=AUDIENCE, requested=["read"], granted=["read"])
        uses = sensor.uses(story.ids[token])
        story.need_state(token, "used", parent=secret, scopes=["read"], life=900, uses=len(uses), issuer=provider.issuer,
                         jwt_id=oauth.claims_of(token)["jti"])
    with rig.case("MCP: each call is told by its method and tool, at both ends"):
        calls = [(u["direction"], u["http"]["path"], u["http"]["status"], u["mcp"]["method"]["name"], u["mcp"].get("name"))
                 for u in uses]
        for way in ("egress", "ingress"):
            mine = [c[1:] for c in calls if c[0] == way]
            rig.need({("/mcp", 200, "tools/list", None), ("/mcp", 200, "tools/call", "add")} <= set(mine), f"calls: {calls}")
        rig.need_equal(len(mine) * 2, len(calls), "calls at both ends")


def main():
    rig.need_root()
    work = rig.work_dir("sdks")
    authority = rig.Authority(work)
    provider = None
    with rig.case("provider and SDKs are here"):
        provider = oauth.Provider(work, authority)
    if not provider:
        rig.finish()
    nginx = rig.Nginx(work, authority, more="".join(
        f"location = {path} {{ default_type application/json; return 200 '{json.dumps(answer)}'; }}\n"
        for path, answer in MODELS.items()))
    sensor = rig.Sensor(work)
    models(sensor, nginx, provider.env)
    token = None
    with rig.case("an MCP client mints a token and calls a tool with it"):
        token = mcp(provider, work)
    sensor.stop()
    if token:
        joined(sensor, provider, token)
    rig.finish()


main()
