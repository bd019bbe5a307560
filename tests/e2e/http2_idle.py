#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 idle HTTP/2 connections, both ends on this machine, cost next to nothing: no table entry, no
text, no memory of the maps or of the two processes; and each of them is followed all the same."""
import contextlib
import os
import resource
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

CONNECTIONS = 10000
USED = 100
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
ACK = bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])


def headers(token):
    """GET / with a literal credential that enters the dynamic table."""
    value = b"Bearer " + token.encode()
    block = bytes([0x82, 0x84, 0x86, 0x41, 1]) + b"h" + bytes([0x40 | 23, len(value)]) + value
    return bytes([0, 0, len(block), 1, 5, 0, 0, 0, 1]) + block


def answer():
    return bytes([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88])


def rss_kib(pid):
    return int(rig.status_of(pid)["VmRSS"].split()[0])


def maps(sensor):
    """Bytes of all maps of the sensor, and how many rows the tables of HPACK have."""
    memory, rows = 0, {}
    for name in os.listdir(f"/proc/{sensor.monitor}/fdinfo"):
        info = {}
        with contextlib.suppress(FileNotFoundError):    # the monitor opens and closes files all the time
            with open(f"/proc/{sensor.monitor}/fdinfo/{name}", encoding="ascii") as f:
                info = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        if "map_id" not in info:
            continue
        memory += int(info["memlock"])
        shown = rig.run(["bpftool", "map", "show", "id", info["map_id"]])[1].split()
        kind = shown[shown.index("name") + 1]
        if kind in ("entries", "texts", "memos", "blocks", "partials"):
            dump = rig.run(["bpftool", "map", "dump", "id", info["map_id"]])[1]
            rows[kind] = int(dump.rsplit("Found ", 1)[1].split()[0]) if "Found " in dump else dump.count("key")
    return memory, rows


SERVER = """
import select, socket, sys
settings, answer = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(listener.getsockname()[1], flush=True)
poll, ends = select.epoll(), {}
poll.register(listener, select.EPOLLIN)
while True:
    for fd, _ in poll.poll():
        if fd == listener.fileno():
            end, _ = listener.accept()
            ends[end.fileno()] = end
            poll.register(end, select.EPOLLIN)
            continue
        data = ends[fd].recv(4096)
        if not data:
            poll.unregister(fd)
            ends.pop(fd).close()
        elif data[:3] == b"PRI":
            ends[fd].sendall(settings)
        elif data[3] == 1:
            ends[fd].sendall(answer)
"""


def connect(port):
    """Client ends of that many connections, each through with its settings."""
    ends = []
    for _ in range(CONNECTIONS):
        end = socket.create_connection(("127.0.0.1", port))
        ends.append(end)
        end.sendall(PREFACE + SETTINGS)
        rig.need(end.recv(4096).startswith(SETTINGS), "no settings came")
        end.sendall(ACK)
    return ends


def main():
    rig.need_root()
    resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    work = rig.work_dir("idle")
    sensor = rig.Sensor(work, "--set", "limits.memory=256MiB")  # both ends of all of them are here
    before, rows = maps(sensor)
    rss = rss_kib(sensor.monitor), rss_kib(sensor.agent)
    server = rig.spawn([sys.executable, "-c", SERVER, (SETTINGS + ACK).hex(), answer().hex()],
                       stdout=subprocess.PIPE, text=True)
    ends = connect(int(server.stdout.readline()))
    with rig.case(f"{CONNECTIONS} idle connections take no entry, no text and no memory"):
        after, rows = maps(sensor)
        grown = rss_kib(sensor.monitor) - rss[0], rss_kib(sensor.agent) - rss[1]
        print(f"  maps {before >> 10} KiB before, {after >> 10} KiB after; processes grew by {grown} KiB; {rows}")
        rig.need_equal(after, before, "bytes of the maps")
        # Other programs on this machine may talk HTTP/2 meanwhile.
        rig.need(max(rows["entries"], rows["texts"], rows["memos"]) < CONNECTIONS / 100, f"rows {rows}")
        rig.need(max(grown) < 4096, f"processes grew by {grown} KiB")
    tokens = [rig.token() for _ in range(USED)]
    ids = sensor.ids(tokens)
    for token, end in zip(tokens, ends[::CONNECTIONS // USED]):
        end.sendall(headers(token))
        rig.need_equal(end.recv(4096), answer(), "the answer")
    uses = sensor.wait_uses(ids, 2 * USED)
    with rig.case(f"{USED} of them, spread over all, are followed: one use at each end"):
        got = sorted((u["token"]["id"], u["direction"]) for u in uses)
        rig.need(got == sorted((i, d) for i in ids for d in ("egress", "ingress")), f"{len(got)} uses")
        rig.need_equal({(u["http"]["version"], u["http"].get("status")) for u in uses}, {("2", 200)},
                       "version and status")
    for end in ends:
        end.close()
    rig.end(server)
    with rig.case("nothing was lost"):
        rig.need_equal(sensor.stop(), 0, "status")
        rig.need_equal({k: v for k, v in sensor.losses().items() if k != "joined_late"}, {}, "losses")
    rig.finish()


main()
