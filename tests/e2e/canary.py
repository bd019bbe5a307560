#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No token leaves the kernel: 50 random ones are used, then everything the sensor has or wrote is
searched for any 8-byte piece of any of them, raw, base64 and percent-encoded."""
import base64
import contextlib
import glob
import json
import os
import re
import secrets
import signal
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import broker  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

CANARY = os.path.join(rig.TOOLS, "canary")


def made_up_tokens():
    """No known prefix longer than four bytes: a class table may hold prefixes."""
    kinds = [lambda: rig.token(), lambda: rig.random_text(64), lambda: secrets.token_hex(20),
             lambda: rig.random_text(900), lambda: "s." + rig.random_text(24)]
    return [kinds[i % len(kinds)]() for i in range(50)]


def pieces(token):
    """Every 8-byte piece in every coding. Base64 text changes with the bytes before and after:
    three alignments, and the characters that hold bits of a neighbour are left out."""
    raw = token.encode()
    for i in range(len(raw) - 7):
        yield raw[i:i + 8]
        for text in ("".join(f"%{b:02x}" for b in raw[i:i + 8]),
                     "".join(f"%{b:02X}" for b in raw[i:i + 8])):
            yield text.encode()
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        coded = coded[(0, 2, 3)[shift]:len(coded) - 1]
        for text in {coded, coded.translate(bytes.maketrans(b"+/", b"-_"))}:
            for i in range(len(text) - 7):
                yield text[i:i + 8]


class Searcher:
    def __init__(self, work, tokens):
        self.needles = os.path.join(work, "needles")
        with open(self.needles, "w", encoding="ascii") as f:
            for piece in {p for t in tokens for p in pieces(t)}:
                f.write(piece.hex() + "\n")

    def look(self, *targets):
        """(found?, what it said); an unreadable target is an error."""
        code, out, err = rig.run([CANARY, self.needles, *targets], check=False, seconds=300)
        rig.need(code in (0, 1), f"search of {targets}: {err.strip()[-300:]}")
        rig.need(f"searched: {targets[0]}" in out, "it says what it searched")
        return code == 1, out

    def nothing_in(self, *targets):
        rig.need(targets, "nothing to search")
        found, out = self.look(*targets)
        rig.need(not found, out)


def selfcheck(searcher, work, tokens):
    planted = os.path.join(work, "planted")

    def finds(content, what):
        with open(planted, "wb") as f:
            f.write(os.urandom(100000) + content + os.urandom(100000))
        rig.need(searcher.look(planted)[0], f"{what} was not found")

    with rig.case("the search finds a planted piece in every coding, in a file and in memory"):
        raw = tokens[1].encode()
        finds(raw[11:19], "8 raw bytes")
        finds(raw[-8:], "the last 8 bytes")
        for shift in range(3):
            finds(base64.b64encode(b"user:"[:3 + shift] + raw[5:25]), f"base64, shift {shift}")
        finds("".join(f"%{b:02X}" for b in raw[3:11]).encode(), "percent-encoded")
        rig.need(searcher.look(f"mem:{os.getpid()}")[0], "this test's own memory has the tokens")
        with open(planted, "wb") as f:
            f.write(os.urandom(1000000))
        rig.need(not searcher.look(planted)[0], "random bytes have no piece")
        os.remove(planted)


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


def maps_of(pids):
    found = set()
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
            with contextlib.suppress(OSError):
                with open(path, encoding="ascii") as f:
                    found |= {int(m) for m in re.findall(r"^map_id:\s*(\d+)", f.read(), re.M)}
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


def dump_maps(work, pids):
    """One file for each map, text and bytes; the ring itself is in the agent's memory."""
    files = []
    ids = maps_of(pids)
    rig.need(len(ids) >= 5, f"only {len(ids)} maps found: {ids}")
    for m in ids:
        code, out, err = rig.run(["bpftool", "-j", "map", "dump", "id", str(m)], check=False, seconds=120)
        kind = json.loads(rig.run(["bpftool", "-j", "map", "show", "id", str(m)])[1])
        if code != 0 and kind["type"] in ("ringbuf", "perf_event_array"):
            continue
        rig.need_equal(code, 0, f"bpftool map dump of {kind}: {(out + err).strip()[-200:]}; status")
        files.append(os.path.join(work, f"map-{m}-{kind.get('name', '')}"))
        with open(files[-1], "wb") as f:
            f.write(out.encode() + b"\n")
            for element in json.loads(out or "[]"):
                f.write(octets(element) + b"\n")
    return files


def files_below(directory):
    return [os.path.join(d, n) for d, _, names in os.walk(directory) for n in names
            if os.path.isfile(os.path.join(d, n))]


def core(work, pid, name):
    prefix = os.path.join(work, f"core-{name}")
    rig.run(["gcore", "-a", "-o", prefix, str(pid)], check=False, seconds=180)
    path = f"{prefix}.{pid}"
    rig.need(os.path.exists(path) and os.path.getsize(path) > 100000, f"no core of {name}")
    return path


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
        searcher.nothing_in(*dump_maps(work, (sensor.monitor, sensor.agent)))
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


def main():
    rig.need_root()
    work = rig.work_dir("canary")
    tokens, cut = made_up_tokens(), made_up_tokens()[:20]
    searcher = Searcher(work, tokens + cut)
    selfcheck(searcher, work, tokens)
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority)
    kafka = broker.Broker(work)
    sensor = rig.Sensor(work, "--config", kafka.config(os.path.join(work, "canary.yaml")))
    with rig.case("50 tokens are used over TLS and plain, and all of them are seen"):
        use_tokens(authority, nginx, tokens)
        ids = sensor.ids(tokens)
        sensor.wait_uses(ids, 4 * len(tokens), 30)
        missed = [i for i, token_id in enumerate(ids) if len(sensor.uses(token_id)) < 4]
        rig.need(not missed, f"uses are missing of tokens number {missed}")
    time.sleep(2)   # Kafka's linger and the store's next commit
    search_all(searcher, sensor, work, kafka)
    with rig.case("nothing in maps and memory while connections stop in the middle of a credential"):
        held = half_sent(authority, nginx, cut)
        searcher.nothing_in(f"mem:{sensor.agent}", f"mem:{sensor.monitor}",
                            *dump_maps(work, (sensor.monitor, sensor.agent)))
        for s in held:
            s.close()
    with rig.case("nothing in what a broker outage leaves in the spool, nor in the files after the end"):
        kafka.kill9()
        use_tokens(authority, nginx, tokens[:10])
        time.sleep(2)
        searcher.nothing_in(*files_below(sensor.state))
        # The broker stays away: what was not published stays in the spool.
        rig.need_equal(sensor.stop(signal.SIGTERM, 60), 0, "status")
        searcher.nothing_in(*files_below(sensor.state), sensor.out_path, sensor.err_path)
    rig.finish()


main()
