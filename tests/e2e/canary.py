#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No token leaves the kernel: 50 random ones are used over HTTP/1 and HTTP/2, then everything the sensor
has or wrote is searched for any 8-byte piece of any of them, raw, base64 and percent-encoded, and each of
these in HPACK's Huffman code too."""
import base64
import collections
import contextlib
import glob
import gzip
import itertools
import json
import os
import re
import secrets
import signal
import socket
import ssl
import sys
import time

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import broker  # noqa: E402  pylint: disable=wrong-import-position,import-error
import frames as f  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

CANARY = os.path.join(rig.TOOLS, "canary")
SLOTS_PER_CPU = 4	# bpf/scratch.bpf.h
KINDS = 5		# of tokens; the first, a GitHub token, is known by its bytes


def made_up_tokens():
    """No known prefix longer than four bytes: a class table may hold prefixes. No eight digits in a row:
    any number or time that is printed might be the same."""
    kinds = [lambda: rig.token(), lambda: rig.random_text(64), lambda: secrets.token_hex(20),
             lambda: rig.random_text(900), lambda: "s." + rig.random_text(24)]
    assert len(kinds) == KINDS

    def made(make):
        return next(t for t in (make() for _ in itertools.count()) if not re.search("[0-9]{8}", t))
    return [made(kinds[i % KINDS]) for i in range(50)]


def codings(token):
    """What a token may be turned into. Base64 text changes with the bytes before and after: three
    alignments, and the characters that hold bits of a neighbour are left out."""
    raw = token.encode()
    yield raw
    for code in ("%{:02x}", "%{:02X}"):
        yield "".join(map(code.format, raw)).encode()
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        coded = coded[(0, 2, 3)[shift]:len(coded) - 1]
        yield from {coded, coded.translate(bytes.maketrans(b"+/", b"-_"))}


def huffman_coded(text):
    """The whole bytes of the Huffman code of a text, wherever in a byte it may begin (RFC 7541, 5.2)."""
    bits = "".join(format(f.REQUEST_CODES[c], f"0{f.REQUEST_CODES_LENGTH[c]}b") for c in text)
    for shift in range(8):
        size = (len(bits) - shift) // 8
        yield int(bits[shift:shift + 8 * size], 2).to_bytes(size, "big")


def windows(text):
    return (text[i:i + 8] for i in range(len(text) - 7))


def pieces(token):
    """Every 8-byte piece in every coding."""
    for text in codings(token):
        yield from windows(text)
        for coded in huffman_coded(text):
            yield from windows(coded)
    for coded in huffman_coded(token.encode()):
        yield from (w[::-1] for w in windows(coded))	# a word of it, as a little-endian machine keeps it


class Searcher:
    def __init__(self, work, tokens):
        self.needles = os.path.join(work, "needles")
        self.pieces = {p for t in tokens for p in pieces(t)}
        with open(self.needles, "w", encoding="ascii") as out:
            out.writelines(piece.hex() + "\n" for piece in self.pieces)

    def look(self, *targets):
        """(found?, what it said); an unreadable target is an error."""
        code, out, err = rig.run([CANARY, self.needles, *targets], check=False, seconds=300)
        rig.need(code in (0, 1), f"search of {targets}: {err.strip()[-300:]}")
        rig.need(f"searched: {targets[0]}" in out, "it says what it searched")
        return code == 1, out

    def nothing_in(self, *targets):
        rig.need(targets, "nothing to search")
        found, out = self.look(*targets)
        rig.need(not found, "\n".join(line for line in out.splitlines() if line.startswith("found")))


def has_piece(searcher, data):
    return any(w in searcher.pieces for w in windows(data))


def selfcheck(searcher, work, tokens):
    planted = os.path.join(work, "planted")

    def finds(content, what):
        with open(planted, "wb") as out:
            out.write(os.urandom(100000) + content + os.urandom(100000))
        rig.need(searcher.look(planted)[0], f"{what} was not found")

    with rig.case("the search finds a planted piece in every coding, in a file and in memory"):
        raw = tokens[1].encode()
        finds(raw[11:19], "8 raw bytes")
        finds(raw[-8:], "the last 8 bytes")
        for shift in range(3):
            finds(base64.b64encode(b"user:"[:3 + shift] + raw[5:25]), f"base64, shift {shift}")
        finds("".join(f"%{b:02X}" for b in raw[3:11]).encode(), "percent-encoded")
        for n in range(8):	# the code of "a" has 5 bits: all eight places in a byte
            finds(f.text("a" * n + tokens[1], True)[12:21], f"Huffman-coded, behind {5 * n} bits")
        rig.need(searcher.look(f"mem:{os.getpid()}")[0], "this test's own memory has the tokens")
        with open(planted, "wb") as out:
            out.write(os.urandom(1000000))
        rig.need(not searcher.look(planted)[0], "random bytes have no piece")
        os.remove(planted)
    with rig.case("the pieces are those of what goes over the wire in HTTP/2"):
        for (i, t), huffman in itertools.product(enumerate(tokens), (True, False)):
            wire = block(t, i, f.kept, huffman)
            rig.need(not has_piece(searcher, os.urandom(len(wire))), "random bytes have a piece")
            rig.need(has_piece(searcher, wire), f"token {i}, Huffman {huffman}: no piece is of this block")


def made_up_jwts():
    """JWTs, and what must never be seen of them: the signature, and anything of an unsigned one."""
    def part(text):
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    jwts, secret = [], []
    for i, head in enumerate(('{"alg":"ES256"}', '{"alg":"none"}', '{"alg":"RS256"}', '{"alg":"nOnE","kid":"k"}') * 3):
        sub, signature = rig.random_text(60), rig.random_text(86)
        signed = i % 4 == 0
        jwts.append(".".join((part(head), part(f'{{"sub":"{sub}"}}'), "" if i % 4 in (1, 2) else signature)))
        secret += [signature] if signed else [sub, signature]
    return jwts, [t for t in secret if not re.search("[0-9]{8}", t)]


FIELDS = [
    lambda t: ("/v1/items", f"Authorization: Bearer {t}"),
    lambda t: ("/v1/items", "Authorization: Basic " + base64.b64encode(f"me:{t}".encode()).decode()),
    lambda t: (f"/v1/items?a=b&access_token={t}&c=d", "Accept: */*"),
    lambda t: ("/v1/items", f"X-Api-Key: {t}"),
    lambda t: ("/v1/items?access_token=" + "".join(f"%{ord(c):02X}" for c in t), "Accept: */*"),
    lambda t: (f"/v1/{t}/items", f"PRIVATE-TOKEN: {t}"),
]


def head(token, i):
    target, field = FIELDS[i % len(FIELDS)](token)
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n".encode()


def connect(authority, nginx, tls):
    s = socket.create_connection(("127.0.0.1", nginx.tls if tls else nginx.plain))
    if tls:
        s = ssl.create_default_context(cafile=authority.ca).wrap_socket(s, server_hostname="localhost")
    s.settimeout(20)
    return s


def use_tokens(authority, nginx, tokens):
    """Each token in another place: whole, and cut in the middle."""
    for tls in (True, False):
        for i, t in enumerate(tokens):
            with contextlib.closing(connect(authority, nginx, tls)) as s:
                text = head(t, i)
                cut = len(text) - len(t) // 2 - 4 if i % 2 else len(text)
                s.sendall(text[:cut])
                if text[cut:]:
                    time.sleep(0.01)
                    s.sendall(text[cut:])
                rig.need(s.recv(4096).startswith(b"HTTP/1.1 200"), "nginx answers 200")


def use_whole(authority, nginx, tokens):
    """A JWT that comes in parts is not told."""
    for tls, (i, t) in itertools.product((True, False), enumerate(tokens)):
        with contextlib.closing(connect(authority, nginx, tls)) as s:
            s.sendall(head(t, i))
            rig.need(s.recv(4096).startswith(b"HTTP/1.1 200"), "nginx answers 200")


# ---- HTTP/2 ----

ROWS = {"authorization": f.AUTHORIZATION, "accept": 19}	# of the static table; other names as text


def block(token, i, make, huffman):
    """A header block whose last two fields are made by `make`."""
    target, field = FIELDS[i % len(FIELDS)](token)
    name, value = field.split(": ", 1)
    return (b"\x82\x87" + f.not_kept(1, "localhost") + make(4, target, huffman) +
            make(ROWS.get(name.lower(), name.lower()), value, huffman))


REFERENCES = b"\x82\x87" + f.not_kept(1, "localhost") + b"\xbf\xbe"	# to these two, once they are kept


def in_one(c, stream, text):
    c.ask(f.headers(stream, text))


def in_continuations(c, stream, text):
    c.ask(f.headers_in_pieces(stream, text, len(text) // 7 + 1))


def in_writes(c, stream, text):
    c.ask(f.headers(stream, text), cut=len(text) // 4 + 1)


def in_both(c, stream, text):
    c.ask(f.headers_in_pieces(stream, text, len(text) // 5 + 1), cut=len(text) // 6 + 1)


def in_vectors(c, stream, text):
    """With a body, both in one call whose second buffer has nothing to be read in it."""
    body = b"x" * 50
    data = f.headers(stream, text, flags=0) + f.frame(f.DATA, f.END_STREAM, stream, body)
    if isinstance(c.client, ssl.SSLSocket):
        c.ask(data)
        return
    head = len(data) - len(body)
    rig.need_equal(c.client.sendmsg([data[:head], body]), len(data), "bytes sent")
    got = c.server.recvmsg_into([bytearray(head), bytearray(len(body))])[0]
    rig.need_equal(got, len(data), "bytes received")


WAYS = (in_one, in_continuations, in_writes, in_both, in_vectors)


def speak_http2(authority, tokens):
    """Each token in each kind of literal and by reference, cut in all ways: 8 requests over TLS, 8 plain.
    The connections stay open, so that the tables keep what is theirs."""
    held = []
    for tls, (i, t) in itertools.product((True, False), enumerate(tokens)):
        c = f.Connection(authority if tls else None)
        texts = []
        for huffman, make in itertools.product((True, False), (f.kept, f.not_kept, f.never_kept)):
            texts += [block(t, i, make, huffman)] + ([REFERENCES] if make is f.kept else [])
        for n, text in enumerate(texts):
            stream = c.new_stream()
            WAYS[(i + n) % len(WAYS)](c, stream, text)
            c.answer(f.headers(stream, b"\x88"))
        held.append(c)
    return held


def curl_http2(authority, nginx, tokens):
    """Each token twice on one connection."""
    for i, t in enumerate(tokens):
        target, field = FIELDS[i % len(FIELDS)](t)
        url = f"https://localhost:{nginx.tls}{target}"
        said = rig.run(["curl", "-sS", "--http2", "--cacert", authority.ca, "-H", field, "-o", "/dev/null",
                        "-o", "/dev/null", "-w", "%{http_version} %{http_code}\n", url, url])[1]
        rig.need_equal(said, "2 200\n" * 2, "what curl says")


def before_continuation(c, stream, text):
    c.ask(f.frame(f.HEADERS, f.END_STREAM, stream, text))


def in_headers(c, stream, text):
    c.ask(f.headers(stream, text)[:9 + 2 * len(text) // 3])


def in_continuation(c, stream, text):
    middle = 2 * len(text) // 3
    rest = f.frame(f.CONTINUATION, f.END_HEADERS, stream, text[middle - 10:])
    c.ask(f.frame(f.HEADERS, f.END_STREAM, stream, text[:middle - 10]) + rest[:9 + 10])


def after_single_bytes(c, stream, text):
    data = f.headers(stream, text)[:9 + 2 * len(text) // 3]
    c.ask(data[:-12])
    c.ask(data[-12:], cut=1)


STOPS = (before_continuation, in_headers, in_continuation, after_single_bytes)


def stopped_blocks(authority, tokens):
    """Connections that stop in the middle of a header block."""
    held = []
    for stop, (i, t) in itertools.product(STOPS, enumerate(tokens)):
        c = f.Connection(authority if i % 2 else None)
        stop(c, c.new_stream(), block(t, i, f.kept, i // 2 % 2 == 0))
        held.append(c)
    return held


def close_all(held):
    for c in held:
        c.close()


def half_sent(authority, nginx, tokens):
    """Connections that stop in the middle of a credential."""
    held = []
    for i, t in enumerate(tokens):
        s = connect(authority, nginx, i % 2 == 0)
        text = head(t, i)
        s.sendall(text[:text.index(t[:8].encode()) + len(t) // 2] if t[:8].encode() in text
                  else text[:len(text) - len(t) // 2])
        held.append(s)
    time.sleep(0.5)
    return held


def begun_again(authority, nginx, tokens):
    """Connections on which the same head comes again and again in two parts, cut in the middle of the credential."""
    held = []
    for i, t in enumerate(tokens):
        s = connect(authority, nginx, i % 2 == 0)
        text = head(t, i).replace(b"\r\nHost:", b"\r\nAccept: " + 80 * b"a" + b"\r\nHost:")
        at = text.index(t[:8].encode()) + len(t) // 2 if t[:8].encode() in text else len(text) - len(t) // 2
        for _ in range(5):
            s.sendall(text[:at])
            time.sleep(0.01)
            s.sendall(text[at:])
            rig.need(s.recv(4096).startswith(b"HTTP/1.1 200"), "nginx answers 200")
        held.append(s)
    return held


def half_answered(tokens):
    """Answers of token endpoints, compressed, that stop before their checksum: (both ends, what is missing)."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        for t in tokens:
            body = gzip.compress(json.dumps({"access_token": t, "scope": "read", "refresh_token": t[::-1]}).encode())
            ends = socket.create_connection(server.getsockname()), server.accept()[0]
            ends[0].sendall(b"POST /oauth/token HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            ends[1].recv(65536)
            ends[1].sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
                            % (len(body), body[:-4]))
            ends[0].recv(65536)
            held.append((*ends, body[-4:]))
    return held


def answer_all(held):
    for client, server, rest in held:
        server.sendall(rest)
        client.recv(65536)


def in_use(files, name):
    """Bytes of a map that are not zero."""
    with open(next(path for path in files if path.endswith(f"-{name}")), "rb") as dump:
        return sum(b not in b"\0\n" for b in dump.read())	# octets() has line ends of its own


def minted(sensor):
    return {t["id"] for m in sensor.records("mint") for t in m["tokens"] if t["part"] == "minted"}


def maps_of(pids):
    found = set()
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
            with contextlib.suppress(OSError):
                with open(path, encoding="ascii") as info:
                    found |= {int(m) for m in re.findall(r"^map_id:\s*(\d+)", info.read(), re.M)}
    return sorted(found)


def octets(value):
    """The bytes in bpftool's JSON: "0x61" texts, numbers, or nested formatted values."""
    if isinstance(value, str):
        return bytes([int(value, 16)]) if re.fullmatch("0x[0-9a-f]{2}", value) else value.encode()
    if isinstance(value, list):
        return b"".join(octets(v) for v in value)
    if isinstance(value, dict):
        return b"".join(octets(v) + b"\n" for v in value.values())
    return b""


def dump_maps(work, pids, want):
    """One file for each map, as bytes; the ring itself is in the agent's memory. The maps that `want` names
    have to have so many elements at least, else there was nothing to find."""
    files, elements = [], {}
    ids = maps_of(pids)
    rig.need(len(ids) >= 5, f"only {len(ids)} maps found: {ids}")
    for m in ids:
        code, out, err = rig.run(["bpftool", "-j", "map", "dump", "id", str(m)], check=False, seconds=120)
        kind = json.loads(rig.run(["bpftool", "-j", "map", "show", "id", str(m)])[1])
        if code != 0 and kind["type"] in ("ringbuf", "perf_event_array"):
            continue
        rig.need_equal(code, 0, f"bpftool map dump of {kind}: {(out + err).strip()[-200:]}; status")
        files.append(os.path.join(work, f"map-{m}-{kind.get('name', '')}"))
        elements[kind.get("name", "")] = json.loads(out or "[]")
        with open(files[-1], "wb") as dump:
            for element in elements[kind.get("name", "")]:
                dump.write(octets(element) + b"\n")
    for name, least in want.items():
        rig.need(len(elements.get(name, ())) >= least, f"map {name} has {len(elements.get(name, ()))} elements")
    return files


def working_memory(work, pids):
    """What lies at this moment in the slots that calls are read in."""
    found = [m for m in maps_of(pids) if json.loads(rig.run(["bpftool", "-j", "map", "show", "id", str(m)])[1])
             .get("name") == "scratch"]
    rig.need_equal(len(found), 1, "maps called scratch")

    def now(name):
        path = os.path.join(work, f"slots-{name}")
        with open(path, "wb") as out:
            for slot in range(SLOTS_PER_CPU * os.cpu_count()):
                key = [str(b) for b in slot.to_bytes(4, "little")]
                said = rig.run(["bpftool", "-j", "map", "lookup", "id", str(found[0]), "key", *key])[1]
                out.write(octets(json.loads(said)) + b"\n")
        return path
    return now


def files_below(directory):
    return [os.path.join(d, n) for d, _, names in os.walk(directory) for n in names
            if os.path.isfile(os.path.join(d, n))]


def core(work, pid, name):
    prefix = os.path.join(work, f"core-{name}")
    rig.run(["gcore", "-a", "-o", prefix, str(pid)], check=False, seconds=180)
    path = f"{prefix}.{pid}"
    rig.need(os.path.exists(path) and os.path.getsize(path) > 100000, f"no core of {name}")
    return path


# After speak_http2(): both ends of 100 connections, each with two entries at least.
IN_USE = {"entries": 400, "texts": 200, "memos": 30}


def after_each_way(searcher, authority, now, tokens):
    """Nothing of a call stays in the memory that it was read in: looked at before another call comes."""
    held, paths = [], []
    for way, (i, t) in itertools.product((*WAYS, *STOPS), enumerate(tokens)):
        c = f.Connection(authority if i % 2 else None)
        way(c, c.new_stream(), block(t, i, f.not_kept, i // 2 % 2 == 0))
        paths.append(now(f"{way.__name__}-{i}"))
        held.append(c)
    searcher.nothing_in(*paths)
    close_all(held)


def search_all(searcher, sensor, work, kafka):
    for name in ("monitor", "agent"):
        pid = getattr(sensor, name)
        with rig.case(f"nothing in the memory of the {name}"):
            searcher.nothing_in(f"mem:{pid}")
        with rig.case(f"nothing in a core file of the {name}"):
            path = core(work, pid, name)
            searcher.nothing_in(path)
            os.remove(path)
    with rig.case("nothing in any BPF map"):
        searcher.nothing_in(*dump_maps(work, (sensor.monitor, sensor.agent), IN_USE))
    with rig.case("nothing in standard output and standard error"):
        searcher.nothing_in(sensor.out_path, sensor.err_path)
    with rig.case("nothing in the SQLite files and the spool"):
        found = files_below(sensor.state)
        rig.need(any(f.endswith("store.db") for f in found), f"no store in {found}")
        rig.need(any("spool" in f for f in found), f"no spool in {found}")
        searcher.nothing_in(*found)
    with rig.case("nothing in Kafka's log directory"):
        logs = files_below(os.path.join(kafka.dir, "data"))
        uses = [f for f in logs if "tokentrail.uses" in f and f.endswith(".log")]
        rig.need(uses and sum(map(os.path.getsize, uses)) > 0, "the topic has no data to search")
        searcher.nothing_in(*logs)


def in_path_too(i):
    """What is in the path as well, and whose bytes tell what it is, is told there, too."""
    return i % len(FIELDS) == len(FIELDS) - 1 and i % KINDS == 0


def seen_all(sensor, ids, version, count):
    """Each token has been used so many times by this version, as each end saw it."""
    def missed():
        seen = collections.Counter(u["token"]["id"] for u in sensor.uses(ids) if u["http"]["version"] == version)
        return {n: seen[token_id] for n, token_id in enumerate(ids) if seen[token_id] != count * (1 + in_path_too(n))}
    with contextlib.suppress(AssertionError):
        rig.wait_until(lambda: not missed(), 30, "uses")
    rig.need_equal(missed(), {}, f"uses of tokens by number where they are not {count}")


def told_jwts(sensor, jwts):
    ids = set(sensor.ids(jwts))
    last = {r["token"]["id"]: r for r in sensor.records("token") if r["token"]["id"] in ids and "signed_id" in r["token"]}
    return list(last.values()) if len(last) == len(jwts) else None


def main():
    rig.need_root()
    work = rig.work_dir("canary")
    tokens, cut = made_up_tokens(), made_up_tokens()[:20]
    jwts, of_jwts = made_up_jwts()
    searcher = Searcher(work, tokens + cut + of_jwts)
    selfcheck(searcher, work, tokens)
    authority = rig.Authority(work)
    nginx, nginx2 = rig.Nginx(work, authority), rig.Nginx(work, authority, http2=True)
    kafka = broker.Broker(work)
    sensor = rig.Sensor(work, "--config", kafka.config(os.path.join(work, "canary.yaml")))
    pids, ids, held = (sensor.monitor, sensor.agent), sensor.ids(tokens), []
    with rig.case("50 tokens are used over TLS and plain, and all of them are seen"):
        use_tokens(authority, nginx, tokens)
        seen_all(sensor, ids, "1.1", 4)
    with rig.case("the same over HTTP/2, in each form of HPACK, and by curl"):
        held += speak_http2(authority, tokens)
        curl_http2(authority, nginx2, tokens)
        seen_all(sensor, ids, "2", 2 * 16 + 2 * 2)
    with rig.case("JWTs: what they say of themselves is told, of unsigned ones that they are"):
        use_tokens(authority, nginx, jwts)
        use_whole(authority, nginx, jwts)
        told = [r["token"] for r in rig.wait_until(lambda: told_jwts(sensor, jwts), 15, "all are told")]
        rig.need_equal(sum("subject" in t for t in told), len(jwts) // 4, "subjects")
    time.sleep(2)   # Kafka's linger and the store's next commit
    search_all(searcher, sensor, work, kafka)
    with rig.case("nothing in maps and memory while connections stop in the middle of a credential"):
        held += half_sent(authority, nginx, cut)
        searcher.nothing_in(*(f"mem:{pid}" for pid in pids), *dump_maps(work, pids, {"partials": len(cut)}))
    close_all(held)
    with rig.case("nothing in maps and memory while beginnings of heads are kept that may come again"):
        held = begun_again(authority, nginx, cut)
        searcher.nothing_in(*(f"mem:{pid}" for pid in pids), *dump_maps(work, pids, {"begins": len(cut)}))
    close_all(held)
    with rig.case("nothing in maps and memory while compressed answers with tokens stop before their end"):
        some = cut[:8]
        answers = half_answered(some)
        answer_all(answers)
        rig.wait_until(lambda: set(sensor.ids(some)) <= minted(sensor), 15, "these tokens are told of as minted")
        answers += half_answered(some)
        parked = dump_maps(work, pids, {"bodies": 2 * len(some)})
        searcher.nothing_in(*(f"mem:{pid}" for pid in pids), *parked)
        rig.need(in_use(parked, "inflates") > 2 * len(some) * 2000, "nothing was parked")
        answer_all(answers[len(some):])
        rig.need(in_use(dump_maps(work, pids, {}), "inflates") < 2 * len(some) * 64, "a row was not wiped")
    close_all(end for client, server, _ in answers for end in (client, server))
    with rig.case("nothing in maps and memory while header blocks stop in the middle"):
        held = stopped_blocks(authority, cut)
        both_ends = 2 * len(STOPS) * len(cut)
        searcher.nothing_in(*(f"mem:{pid}" for pid in pids),
                            *dump_maps(work, pids, {"partials": both_ends, "blocks": both_ends}))
    close_all(held)
    with rig.case("nothing in the kernel's working memory after a call, whatever was read in it"):
        after_each_way(searcher, authority, working_memory(work, pids), cut[:4])
    with rig.case("nothing in what a broker outage leaves in the spool, nor in the files after the end"):
        kafka.kill9()
        use_tokens(authority, nginx, tokens[:10])
        close_all(speak_http2(authority, tokens[:10]))
        time.sleep(2)
        searcher.nothing_in(*files_below(sensor.state))
        # The broker stays away: what was not published stays in the spool.
        rig.need_equal(sensor.stop(signal.SIGTERM, 60), 0, "status")
        searcher.nothing_in(*files_below(sensor.state), sensor.out_path, sensor.err_path)
    rig.finish()


main()
