# SPDX-License-Identifier: Apache-2.0
"""grpcio, the C core: grpc_server.py PORT [CERTIFICATE KEY]; see ../README.md."""
import sys
from concurrent import futures

import grpc

CODES = {c.value[0]: c for c in grpc.StatusCode}


def outcome(request, context):
    """What is answered, and the code to end with."""
    fields = dict(context.invocation_metadata())
    assert fields["authorization"].startswith("Bearer "), "no credential came"
    return context.peer().rpartition(":")[2], int(request.decode())


def unary(request, context):
    port, code = outcome(request, context)
    if code:
        context.abort(CODES[code], port)
    return port.encode()


def stream(request, context):
    port, code = outcome(request, context)
    for _ in range(3):
        yield port.encode()
    if code:
        context.abort(CODES[code], port)


def credentials(cert, key):
    with open(cert, "rb") as c, open(key, "rb") as k:
        return grpc.ssl_server_credentials([(k.read(), c.read())])


def main():
    port, *tls = sys.argv[1:]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tokentrail.Peer", {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }),))
    if tls:
        assert server.add_secure_port(f"127.0.0.1:{port}", credentials(*tls))
    else:
        assert server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


main()
