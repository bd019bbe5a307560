#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The service of demo.sh: answers every request over HTTPS and over plain HTTP, on free ports of
127.0.0.1 that it writes to a file.   demo_service.py CERT KEY PORTS"""
import http.server
import os
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"ok\n"
        self.send_response(401 if self.path.startswith("/registry") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = answer

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


def main():
    cert, key, ports = sys.argv[1:]
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    servers[0].socket = context.wrap_socket(servers[0].socket, server_side=True)
    with open(ports + ".new", "w", encoding="ascii") as f:
        f.write(" ".join(str(s.server_address[1]) for s in servers) + "\n")
    os.rename(ports + ".new", ports)
    threading.Thread(target=servers[1].serve_forever, daemon=True).start()
    servers[0].serve_forever()


main()
