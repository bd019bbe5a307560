# SPDX-License-Identifier: Apache-2.0
"""grpcio, the C core: grpc_client.py HOST:PORT [CA]; see ../README.md.

The token is a call credential, also on a plain connection: on a local one the C core allows that."""
import sys

import grpc


def channel(target, ca):
    if not ca:
        return grpc.secure_channel(target, grpc.local_channel_credentials())
    with open(ca, "rb") as f:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(f.read()))


def ask(chan, kind, code, token):
    call = grpc.access_token_call_credentials(token)
    if kind == "unary":
        return chan.unary_unary("/tokentrail.Peer/Unary")(code.encode(), timeout=20, credentials=call)
    return list(chan.unary_stream("/tokentrail.Peer/Stream")(code.encode(), timeout=20, credentials=call))[-1]


def main():
    target, ca = (sys.argv[1:] + [None])[:2]
    chan = channel(target, ca)
    for line in sys.stdin:
        words = line.split()
        if words == ["new"]:
            chan.close()
            chan = channel(target, ca)
            print("new", flush=True)
            continue
        try:
            text, code = ask(chan, *words).decode(), 0
        except grpc.RpcError as e:
            text, code = e.details(), e.code().value[0]  # pylint: disable=no-member
        print(code, text, flush=True)


main()
