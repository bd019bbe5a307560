# SPDX-License-Identifier: Apache-2.0
"""A client on any libssl, called as C would: libssl_client.py LIBCRYPTO LIBSSL PORT < questions ("METHOD
PATH TOKEN"), over one connection. Prints the library's version, then an answer's status a line. For
versions that no program here is linked with; certificates are not looked at."""
import ctypes
import socket
import sys


def load(crypto_path, ssl_path):
    crypto = ctypes.CDLL(crypto_path, mode=ctypes.RTLD_GLOBAL)
    ssl = ctypes.CDLL(ssl_path)
    old = hasattr(crypto, "SSLeay_version")		# up to 1.0.2
    version = crypto.SSLeay_version if old else crypto.OpenSSL_version
    version.restype = ctypes.c_char_p
    print(version(0).decode(), flush=True)
    if old:
        ssl.SSL_library_init()
    method = ssl.SSLv23_client_method if old else ssl.TLS_client_method
    for f in (method, ssl.SSL_CTX_new, ssl.SSL_new):
        f.restype = ctypes.c_void_p
    return ssl, method


def main(crypto_path, ssl_path, port):
    ssl, method = load(crypto_path, ssl_path)
    s = ctypes.c_void_p(ssl.SSL_new(ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(method())))))
    with socket.create_connection(("127.0.0.1", int(port))) as sock:
        ssl.SSL_set_fd(s, sock.fileno())
        if ssl.SSL_connect(s) != 1:
            sys.exit("no handshake")
        for line in sys.stdin:
            verb, path, token = line.split()
            head = (f"{verb} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n"
                    f"Authorization: Bearer {token}\r\n\r\n").encode()
            if ssl.SSL_write(s, head, len(head)) != len(head):
                sys.exit("no write")
            answer = ctypes.create_string_buffer(4096)
            if ssl.SSL_read(s, answer, len(answer)) <= 0:
                sys.exit("no answer")
            print(answer.value.split()[1].decode(), flush=True)
        ssl.SSL_shutdown(s)


main(*sys.argv[1:])
