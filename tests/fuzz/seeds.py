#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the hand-made seeds of the fuzzers: tests/fuzz/seeds.py, then look at the difference.

A seed of http1 and http2 is one connection, one of hpack a row of blocks, one of elf_scan the changes to
a file, one of mint a body, one of inflate a stream; their formats are told in fuzz_*.c.
"""
import base64
import pathlib
import zlib

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


SAID = ((b"x-oauth-scopes", b"repo, read:org,0123456789abcdef"), (b"audit-id", b"6f1e2a54-0d1c-4c57-8f6b-0a6a1f6c2b11"),
        (b"www-authenticate", b'Basic realm="a\\"b", Bearer error="e", scope="a b", resource_metadata="https://h/x?y"'),
        (b"set-cookie", b"__Host-sid=1; Path=/"), (b"dpop-nonce", b"n"), (b"x-amz-request-id", b"4442587FB7D0A2F9"))

HTTP1 = {
    "said": [c(get(b"/", b"Authorization: Bearer x")), s(b"HTTP/1.1 401 U\r\n", *(n + b": " + v + b"\r\n" for n, v in SAID),
                                                       b"Content-Length: 0\r\n\r\n")],
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
    "routes": [c(get(b"/services/T/B/secret-secret", b"Host: h"), get(b"/bot123:AAA%42/x?x-amz-credential=AK%2F2026/x"),
                 get(b"/services/T/B/" + b"%41" * 70), get(b"/a/eyJhbGciOiJFUzI1NiJ9." + b"e" * 70 + b".c~d~/ghp_01%32345678901"))],
    "sd_jwt": [c(get(b"/?token=eyJhbGc.e30.c~d~", b"Authorization: DPoP eyJhbGciOiJFUzI1NiJ9.e30.c2ln~ZGlzY2xvc3VyZQ~x.y.z"))],
    "long_path": [c(get(b"/abcdefg" * 30 + b"/" + b"A" * 64 + b"/x"))],
    "signed": [c(get(b"/", b"Authorization: Digest realm=\"a, username=\\\"x\", username=\"u\\\"v\", response=\"0\"",
                     b"Authorization: AWS AKID:c2lnbmF0dXJl=", b"Authorization: Hawk mac=\"m\", id=k/1,ts=1",
                     b"Authorization: SAS sr=a%2fb&sig=c2ln%2Bbm%3D&se=1", b"Authorization: Hawk id=\"cut"))],
    "subprotocol": [c(get(b"/", b"Sec-WebSocket-Protocol: a.b, base64url.bearer.authorization.k8s.io.Z2hwXzAx, c",
                          b"Sec-WebSocket-Protocol: key.ghp_0123, x", b"Sec-WebSocket-Protocol: x, access_token ,", b" ghp_01, y"))],
    "ending": [c(get(b"/", b"X-Acme-Token: ghp_0123456789", b"x-csrf-token: no", b"y-TOKEN: a", b"-token: b", b"token: c"))],
    "pair": [c(get(b"/", b"Authorization: ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==",
                   b"Authorization: ApiKey aWQ6a2V5A", b"Authorization: ApiKey \"aWQ6a2V5\""))],
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


# ---- HTTP/2: header fields and frames by hand ----

ADD, PLAIN, NEVER = 0x40, 0x00, 0x10
CODED_URL = bytes.fromhex("9d29ad171863c78f0b97c8e9ae82ae43d3")  # RFC 7541, C.6.1: a URL
PADDED, WITH_PRIORITY, END_HEADERS, END_STREAM = 8, 0x20, 4, 1


def number(first, prefix, n):
    most = (1 << prefix) - 1
    if n < most:
        return bytes([first | n])
    out, n = [first | most], n - most
    while n >= 128:
        out.append(0x80 | n & 0x7F)
        n >>= 7
    return bytes(out + [n])


def text(b):
    return number(0, 7, len(b)) + b


def index(n):
    return number(0x80, 7, n)


def value(kind, name_index, b):
    return number(kind, 6 if kind == ADD else 4, name_index) + text(b)


def field(kind, name, b):
    return bytes([kind]) + text(name) + text(b)


def size(n):
    return number(0x20, 5, n)


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def headers(stream, block, flags=END_HEADERS | END_STREAM):
    return frame(1, flags, stream, block)


PSEUDO = index(2) + index(7) + index(4) + value(ADD, 1, b"h.example")
TOKEN = value(ADD, 23, b"Bearer ghp_0123456789abcdef")
CODED = bytes([0x0F, 0x08]) + b"\x91" + CODED_URL
BLOCKS = {
    "request": [PSEUDO + TOKEN, index(2) + index(7) + index(4) + index(63) + index(62)],
    "kinds": [PSEUDO + value(PLAIN, 23, b"Bearer x") + value(NEVER, 23, b"Basic " + BASIC)
              + field(NEVER, b"x-api-key", b"k") + field(ADD, b"key", b"") + CODED],
    "path": [index(2) + index(6) + value(ADD, 5, b"/a/7?token=x&access_token=%41") + value(ADD, 1, b"u:p@h"),
             index(2) + index(6) + index(63) + index(62)],
    "sizes": [size(0) + PSEUDO, size(4096) + PSEUDO + index(62), size(64) + size(128) + PSEUDO + TOKEN + index(62)],
    "eviction": [size(100)] + [field(ADD, b"x-%d" % i, b"v") + index(62) + index(63) for i in range(8)],
    "large": [field(ADD, b"x-long", b"v" * 4100) + field(ADD, b"a", b"b") + index(62)],
    "integers": [bytes.fromhex("0f11") + b"\x7f\x80\x80\x00" + b"w" * 127, bytes.fromhex("ff8080808001")],
    "padding": [bytes.fromhex("0001618107"), bytes.fromhex("000161821fff")],
    "mcp": [PSEUDO + field(ADD, b"mcp-method", b"tools/call") + field(ADD, b"mcp-name", b"a" * 30), index(63) + index(62)],
    "zero_index": [index(0)],
}

SETTINGS = frame(4, 0, 0, b"\0\1\0\0\x20\0\0\4\0\0\xff\xff")
ACK = frame(4, 1, 0)
ASK = headers(1, PSEUDO + TOKEN)
ANSWER = headers(1, index(8) + value(ADD, 31, b"application/grpc"), END_HEADERS)
HTTP2 = {  # (begins with the preface, calls)
    "exchange": (1, [c(SETTINGS, ASK), s(SETTINGS, ACK, ANSWER, frame(0, 0, 1, b"body"),
                                         headers(1, field(ADD, b"grpc-status", b"0"))), c(ACK)]),
    "split": (1, [c(bytes([b])) for b in frame(4, 0, 0) + headers(1, PSEUDO)]),
    "shapes": (1, [c(frame(1, PADDED | WITH_PRIORITY, 1, b"\2\0\0\0\3\x10" + PSEUDO[:3] + b"\0\0"),
                     frame(9, 0, 1, PSEUDO[3:5]), frame(9, END_HEADERS, 1, PSEUDO[5:]),
                     frame(0, PADDED | END_STREAM, 1, b"\1x\0"))]),
    "others": (1, [c(frame(6, 0, 0, b"01234567"), frame(8, 0, 0, b"\0\0\1\0"), frame(2, 0, 3, b"\0\0\0\0\x10"),
                     frame(3, 0, 1, b"\0\0\0\x08"), frame(7, 0, 0, b"\0\0\0\1\0\0\0\0"), frame(0xFA, 0xFF, 9, b"x"))]),
    "promise": (1, [s(frame(4, 0, 0), frame(5, END_HEADERS, 1, b"\0\0\0\2" + PSEUDO + TOKEN), headers(2, index(8)))]),
    "interim": (1, [c(ASK), s(headers(1, value(PLAIN, 8, b"103"), END_HEADERS), headers(1, index(13)))]),
    "signed": (1, [c(headers(1, PSEUDO + value(NEVER, 23, b"Digest qop=auth, username=\"u\"") +
                             value(ADD, 49, b"ApiKey aWQ6a2V5")), headers(3, PSEUDO + index(62)))]),
    "limits": (1, [s(SETTINGS), c(ACK, headers(1, size(8192) + PSEUDO), headers(3, size(9000) + PSEUDO))]),
    "faults": (1, [c(frame(9, 4, 1, b"\x82")), c(ASK), c(frame(3, 0, 1, b"x")), c(ASK)]),
    "no_message": (1, [c(headers(1, index(2) + index(2)), headers(3, index(8)), ASK)]),
    "middle": (0, [c(frame(8, 0, 0, b"\0\0\1\0")), c(headers(101, index(2) + index(7) + index(4) + index(62) + index(66)),
                                                       headers(103, PSEUDO + index(63))), s(ANSWER)]),
    "within_a_frame": (0, [c(ASK[5:], ASK), c(ASK, ASK)]),
    "said": (1, [c(ASK), s(headers(1, index(8) + b"".join(field(ADD, n, v) for n, v in SAID))), c(ASK),
                 s(headers(3, index(8) + b"".join(index(62 + i) for i in range(len(SAID)))))]),
    "http1": (0, [c(get(b"/")), s(OK)]),
}

MINT = {  # bodies
    "json": b'{"access_token":"eyJabc.def","expires_in":3600,"scope":"a b","token":"x\\/y\\u0041"}',
    "nested": b'{"a":{"b":"tok","c":{"c":1},"x":[1,{"token":"no"}]},"list":["q","r"]}',
    "deep": b'{"a":{"b":{"c":"tok"}}}', "form": b"access_token=abc%2f+d&scope=x&list=1&token=",
    "xml": b'<?xml version="1.0"?><r><token>a&amp;b</token><list>z</list><x a="b"/></r>',
    "plain": b"plaintoken==\n", "list": b'[1,2,{"token":null}]', "gzip": b"\x1f\x8b\x08",
    "zlib": zlib.compress(b'{"access_token":"eyJabc.def"}'),
    "proto": b"k8s\0\x0a\x03\x12\x01k\x12\x1c\x0a\x0aeyJabc.def\x12\x08\x0a\x03a.b\x18\x90\x1c\x22\x01x\x22\x01y\x1a\0\x22\0",
}


def packed(data, wbits=31, level=9, strategy=0):
    c = zlib.compressobj(level, zlib.DEFLATED, wbits, 8, strategy)
    return c.compress(data) + c.flush()


WORDS = b'{"access_token":"eyJabc.def","expires_in":3600,"scope":"a b"}' + bytes(range(64))
INFLATE = {  # how it is cut and headed; the stream
    "gzip": b"\x28" + packed(WORDS), "zlib": b"\x28" + packed(WORDS * 3, 15), "stored": b"\x28" + packed(WORDS, level=0),
    "fixed": b"\x01" + packed(WORDS, -15, strategy=4), "huffman": b"\x01" + packed(WORDS, -15, strategy=2),
    "runs": b"\x01" + packed(b"a" * 2000 + WORDS, -15, strategy=3),
    "header": b"\x28\x1f\x8b\x08\x1e\0\0\0\0\0\3\2\0xyname\0comment\0\0\0\3\0",
}

# Kind; places and values.
ELF_SCAN = {
    "no_file": (0, [(0x457f, 0x4c)]), "openssl_3_0": (1, []), "openssl_3_5": (3, []), "boringssl_calls": (8, []),
    "boringssl_exec": (2, []), "boringssl_table": (4, []), "rows": (4, [(0x800b, 0x7f), (0x8008, 0xff)]),
    "descriptions": (6, [(0x900c, 0xff), (0x9000, 0xff)]), "segments": (4, [(0x60, 0x7f), (0x98, 7), (0xd0, 0)]),
    "rustls": (16, []), "rustls_exec": (18, []), "rustls_relocations": (16, [(0x8018, 0xff), (0x8101, 0x91)]),
    "rustls_tables": (18, [(0x9020, 0), (0x9131, 0x20)]), "rustls_code": (16, [(0x2029, 0x0f), (0x2033, 0xe9)]),
    "strings": (1, [(0x1002, 0), (0x1010, 0x53)]), "code": (3, [(0x2012, 0x8d), (0x2013, 0xe8)]),
}


def connection(seed, calls):
    return bytes([seed]) + b"".join(bytes([d]) + len(p).to_bytes(2, "little") + p for d, p in calls)


def blocks(rows):
    return b"\x2a" + b"".join(len(b).to_bytes(2, "little") + b for b in rows)


def changes(kind, places):
    return bytes([kind]) + b"".join(at.to_bytes(2, "little") + bytes([value]) for at, value in places)


def write(folder, seeds):
    (HERE / "corpus" / folder).mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        (HERE / "corpus" / folder / name).write_bytes(seed)


# A header and a payload, each a JSON text in a line.
JWT = {
    "registered": b"""{"alg":"RS256","kid":"k","typ":"at+jwt"}
{"iss":"https://i.test","sub":"svc-a","aud":["a"],"exp":1900000000.5,"iat":"1800000000","jti":"j","scope":"a b"}""",
    "pod": b"""{"alg":"RS256"}
{"exp":1831536000,"kubernetes.io":{"namespace":"n","pod":{"name":"p"},"serviceaccount":{"name":"s"},"warnafter":1}}""",
    "person": b"""{"alg":"ES256","jku":"u","crit":["b64"]}
{"sub":"jane","email":"j@p.test","act":{"sub":"a","act":{"sub":"b"}},"cnf":{"jkt":"t"},"groups":["g"],"amr":["pwd"]}""",
    "rights": b"""{"alg":"PS256"}
{"realm_access":{"roles":["a"]},"resource_access":{"c":{"roles":["b"]}},"scp":["x"],"entitlements":[{"name":"e"}]}""",
    "deep": b"""{"alg":"RS256"}
""" + b'{"a":' * 9 + b"1" + b"}" * 9,
    "twice": b"""{"alg":"RS256","alg":"none"}
{"iss":"a","\\u0069ss":"b"}""",
    "escapes": b"""{"alg":"RS256","kid":"\\ud83d\\ude00\\n\\u202e"}
{"iss":"\\u0000","exp":1e300,"nbf":-1}""",
    "encoded": b"\x01eyJhbGciOiJSUzI1NiJ9\neyJpc3MiOiJpIn0",
}


def main():
    write("http1", {name: connection(0x2A, calls) for name, calls in HTTP1.items()})
    write("http2", {name: connection(0x2A + preface, calls) for name, (preface, calls) in HTTP2.items()})
    write("mint", {name: bytes([0x2A]) + body for name, body in MINT.items()})
    write("inflate", INFLATE)
    write("jwt", JWT)
    write("elf_scan", {name: changes(*seed) for name, seed in ELF_SCAN.items()})
    write("hpack", {name: blocks(rows) for name, rows in BLOCKS.items()})


main()
