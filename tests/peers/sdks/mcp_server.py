# SPDX-License-Identifier: Apache-2.0
"""An MCP server (fastmcp under uvicorn) that takes an issuer's tokens: mcp_server.py PORT CERT KEY ISSUER JWKS
AUDIENCE; see ../README.md."""
import sys

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import JWTVerifier


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def main():
    port, cert, key, issuer, jwks, audience = sys.argv[1:]
    server = FastMCP("sums", tools=[add], auth=JWTVerifier(jwks_uri=jwks, issuer=issuer, audience=audience))
    uvicorn.run(server.http_app(), host="127.0.0.1", port=int(port), ssl_certfile=cert, ssl_keyfile=key,
                log_level="warning")


main()
