# SPDX-License-Identifier: Apache-2.0
"""An MCP client (fastmcp) with a token that it gets by itself: mcp_client.py ISSUER AUDIENCE URL; see ../README.md.
Secrets are a JSON object on standard input; what was got goes to standard output, as one."""
import asyncio
import json
import sys

from authlib.integrations.requests_client import OAuth2Session
from fastmcp import Client


async def ask(url, token):
    async with Client(url, auth=token) as client:
        tools = [t.name for t in await client.list_tools()]
        return tools, (await client.call_tool("add", {"a": 2, "b": 3})).data


def main():
    issuer, audience, url = sys.argv[1:]
    session = OAuth2Session("mesh", json.load(sys.stdin)["mesh"], scope="read",
                            token_endpoint_auth_method="client_secret_post")
    token = session.fetch_token(issuer + "/token", grant_type="client_credentials", resource=audience)
    print(json.dumps({"token": dict(token), "said": asyncio.run(ask(url, token["access_token"]))}))


main()
