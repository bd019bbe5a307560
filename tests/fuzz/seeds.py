#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the hand-made seeds of the fuzzers: tests/fuzz/seeds.py, then look at the difference.

A seed of http1 is one connection; its format is told in fuzz_http1.c.
"""
import base64
import pathlib

CLIENT, SERVER = 0, 1
HERE = pathlib.Path(__file__).parent
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BASIC = base64.b64encode(b"user:ghp_0123456789abcdef")


def c(*parts):
    return CLIENT, b"".join(parts)


def s(*parts):
    return SERVER, b"".join(parts)


def get(target=b"/", *lines, method=b"GET", version=b"HTTP/1.1"):
    return b"\r\n".join((method + b" " + target + b" " + version, *lines, b"", b""))


HTTP1 = {
    "get": [c(get(b"/v1/items", b"Host: api.example.com", b"Authorization: Bearer ghp_0123456789abcdef")), s(OK)],
    "bare_lf": [c(b"\r\n\nGET / HTTP/1.0\nHost: h\nX-Api-Key: k\n\n")],
    "pipelined": [c(get(b"/a"), get(b"/b", b"Content-Length: 3", method=b"POST"), b"xyz", get(b"/c")), s(OK, OK, OK)],
    "chunked": [c(get(b"/", b"Transfer-Encoding: gzip, chunked", method=b"PUT"),
                  b"5;a=b\r\nGET /\r\n000a\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", get(b"/next"))],
    "continue": [c(get(b"/", b"Expect: 100-continue", b"Content-Length: 4", method=b"PUT")),
                 s(b"HTTP/1.1 100 Continue\r\n\r\n"), c(b"data"), s(OK), c(get(b"/next"))],
    "upgrade": [c(get(b"/ws", b"Upgrade: websocket")), s(b"HTTP/1.1 101 Switching\r\n\r\n\x81\x00"),
                c(get(b"/no")), s(OK)],
    "connect": [c(get(b"h:443", b"Authorization: Basic " + BASIC, method=b"CONNECT")),
                s(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), c(get(b"h:443", method=b"CONNECT")),
                s(b"HTTP/1.1 200 OK\r\n\r\n"), c(b"\x16\x03\x01")],
    "no_body": [c(get(method=b"HEAD"), get(), get()),
                s(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
                  b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n")],
    "until_close": [c(get(version=b"HTTP/1.0")), s(b"HTTP/1.0 200 OK\r\n\r\nall the rest"), s(OK)],
    "chunked_response": [c(get()), s(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", OK)],
    "absolute": [c(get(b"http://u:p@h.example:80/a/7?token=x", b"Host: other"))],
    "asterisk": [c(get(b"*", b"Host: h", method=b"OPTIONS"))],
    "query": [c(get(b"/a?x=1&access_token=%67hp_0123;token=a%2Bb&token=&y#f"))],
    "bad_escapes": [c(get(b"/a?token=%4&token=%zz&token=%"))],
    "path": [c(get(b"/7/ghp_01234567/0123456789abcdef/a@b/%40c/%41%40/x,aaaaaaaaaaaaaaaaaaaaaaaa/eyJhbGc.e30."))],
    "long_path": [c(get(b"/abcdefg" * 30 + b"/" + b"A" * 64 + b"/x"))],
    "fold": [c(get(b"/", b"Host:", b" h", b"Authorization:", b"\tBearer", b"  ghp_0123456789", b" ", b"Key: a", b" b"))],
    "quotes": [c(get(b"/", b'Authorization: Bearer "abc" ', b'X-Api-Key: "a" b"', b'Key: "a""'))],
    "dup_scheme": [c(get(b"/", b'Authorization: Bearer bearer "x"', b"Authorization: foo Foo bar"))],
    "basic": [c(get(b"/", b"Authorization: Basic " + BASIC, b"Authorization: Basic dTo=", b"Authorization: Basic OnA"))],
    "bad_basic": [c(get(b"/", b"Authorization: Basic !", b"Authorization: Basic dTpw=d", b"Authorization: Basic dTpwYXNzd29yZ"))],
    "digest": [c(get(b"/", b'Authorization: Digest username="u",', b' response="r"', b"Key: k"))],
    "empty": [c(get(b"/?token=", b"Authorization:", b"Authorization: Bearer", b"Key:  ", b'X-Api-Key: ""'))],
    "many": [c(get(b"/?token=1&token=2", b"Key: 3", b"Key: 4", b"Key: 5", b"Key: 6"))],
    "long_token": [c(get(b"/", b"Authorization: Bearer " + b"eyJhbGciOiJub25lIn0.eyJ" + b"x" * 1200, b"Key: k"))],
    "long_name": [c(get(b"/", b"X" * 300 + b": y", b"Authorization" + b"x" * 300 + b": z", b"key: k"))],
    "lengths": [c(get(b"/", b"Content-Length: 1 2")), c(get(b"/", b"Content-Length: 1", b"Content-Length: 1"))],
    "faults": [c(b"GET /\x01"), c(get(b"/", b"No Name: x")), c(get(b"/", b": x")), c(get(b"/ok"))],
    "chunk_faults": [c(get(b"/", b"Transfer-Encoding: chunked"), b"zz\r\n"), c(get(b"/ok"))],
    "tls": [c(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), s(b"\x16\x03\x03\x00\x7a\x02")],
    "smtp": [s(b"220 mail ESMTP\r\n"), c(b"EHLO h\r\n"), s(b"250 OK\r\n")],
    "http2": [c(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")],
    "split_everywhere": [c(bytes([b])) for b in get(b"/7?token=%41b", b"Authorization: Basic " + BASIC, b"Host: h")],
}


def http1(calls):
    return b"\x2a" + b"".join(bytes([d]) + len(p).to_bytes(2, "little") + p for d, p in calls)


def main():
    folder = HERE / "corpus" / "http1"
    folder.mkdir(parents=True, exist_ok=True)
    for name, calls in HTTP1.items():
        (folder / name).write_bytes(http1(calls))


main()
