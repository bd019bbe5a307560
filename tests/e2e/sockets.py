#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whose connection is it? Programs that mix up their TLS connections: descriptors exchanged, closed and
opened again under the same number, passed on, inherited; SSL objects used again; SSL on memory buffers,
sent in any order. The address of a use is that of its connection or absent, never another one's; every
connection has a token of its own, so each use says which one it was."""
import collections
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

JUGGLE = os.path.join(rig.TOOLS, "juggle")
REQUESTS = 1200
# Way -> the least share of its requests whose address is known. One that shuffles what it sends
# leaves the sensor in doubt, and has to.
ON_SOCKETS = ("alternate", "swap", "reopen", "clear", "set_fd", "fork")
LEAST = {**{way: 1.0 for way in ON_SOCKETS}, "pass": 0.9, "memory": 0.9, "batch": 0.0, "random": 0.0}

# As juggle prints: token number, local port, peer's port, requests, pid.
ASYNCIO = """
import asyncio, os, ssl, sys
requests, *ports = map(int, sys.argv[1:])
tokens = sys.stdin.read().split()
context = ssl._create_unverified_context()
async def talk(number):
    port = ports[number % 2]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    local = writer.get_extra_info("sockname")[1]
    for _ in range(requests):
        writer.write(b"GET /items HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer %s\\r\\n\\r\\n" % tokens[number].encode())
        await writer.drain()
        await reader.readuntil(b"\\r\\n\\r\\nok\\n")
    print(number, local, port, requests, os.getpid())
    writer.close()
async def main():
    for number in range(0, 40, 8):
        await asyncio.gather(*(talk(number + i) for i in range(8)))
asyncio.run(main())
"""
NODE = """
const https = require("https"), fs = require("fs");
const [requests, ...ports] = process.argv.slice(1).map(Number);
const tokens = fs.readFileSync(0, "utf8").split("\\n");
async function talk(number) {
  const port = ports[number % 2], agent = new https.Agent({keepAlive: true, maxSockets: 1, rejectUnauthorized: false});
  let local;
  for (let i = 0; i < requests; i++)
    await new Promise((done, failed) => https.get({host: "127.0.0.1", port, path: "/items", agent,
      headers: {authorization: "Bearer " + tokens[number]}}, (answer) => {
        local = answer.socket.localPort; answer.resume(); answer.on("end", done); }).on("error", failed));
  console.log(number, local, port, requests, process.pid);
  agent.destroy();
}
(async () => {
  for (let n = 0; n < 40; n += 8) await Promise.all([...Array(8).keys()].map((i) => talk(n + i)));
})();
"""


class Connection:
    def __init__(self, line, tokens):
        number, self.local, self.port, self.count, self.pid = map(int, line.split())
        self.token = tokens[number]


def run(argv, nginx, tokens):
    """Runs a way to its end; its connections."""
    p = rig.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    out, _ = p.communicate("".join(f"{t}\n" for t in tokens), timeout=120)
    rig.need_equal(p.returncode, 0, f"status of {argv[0]}")
    return [Connection(line, tokens) for line in out.splitlines()]


def wrong(use, c, server):
    """What is wrong with a use of this connection, or None."""
    here, there = ("peer", "client") if use["direction"] == "egress" else (None, "peer")
    if use["direction"] == "egress" and use["process"]["pid"] != c.pid:
        return f"pid {use['process']['pid']} instead of {c.pid}"
    if use["direction"] == "ingress" and use["process"]["pid"] not in server.workers:
        return f"pid {use['process']['pid']} of the server"
    if here and here in use and use[here] != {"ip": "127.0.0.1", "port": c.port}:
        return f"{here} {use[here]} instead of port {c.port}"
    if there in use and use[there] != {"ip": "127.0.0.1", "port": c.local}:
        return f"{there} {use[there]} instead of port {c.local}"
    return None


def check(sensor, nginx, connections, least):
    """Every request at both ends, none with another connection's address; the share that has one."""
    owners = {}
    for c, token_id in zip(connections, sensor.ids([c.token for c in connections])):
        owners.setdefault(token_id, []).append(c)
    total = sum(c.count for c in connections)
    uses = sensor.wait_uses(list(owners), 2 * total, seconds=40)
    bad, known = [], collections.Counter()
    for use in uses:
        # A connection that a child goes on with has two owners of one token.
        verdicts = [wrong(use, c, nginx) for c in owners[use["token"]["id"]]]
        if all(verdicts):
            bad.append(f"{use['direction']}: {verdicts[0]}")
        known[use["direction"], "peer" in use] += use["count"]
    rig.need(not bad, f"{len(bad)} of {len(uses)} are wrong: {bad[:3]}")
    rig.need_equal([rig.total(u for u in uses if u["direction"] == d) for d in ("egress", "ingress")],
                   [total] * 2, "requests seen")
    share = known["egress", True] / total
    print(f"# {total} requests over {len(connections)} connections, the address known of {100 * share:.1f} %")
    rig.need(share >= least, f"the address of only {100 * share:.1f} % is known")
    rig.need_equal(known["ingress", False], 0, "without an address at the server")
    return total


def main():
    rig.need_root()
    work = rig.work_dir("sockets")
    authority = rig.Authority(work)
    other = rig.free_port()
    nginx = rig.Nginx(work, authority, more=f"listen 127.0.0.1:{other} ssl;")
    sensor = rig.Sensor(work)
    ports, requests = [str(nginx.tls), str(other)], 0
    ways = {f"OpenSSL, {way}": ([JUGGLE, way, str(REQUESTS), *ports], least) for way, least in LEAST.items()}
    ways["OpenSSL, its SSL BIO"] = ([JUGGLE, "bio", str(REQUESTS), *ports], 1.0)
    ways["Python asyncio"] = ([sys.executable, "-c", ASYNCIO, "30", *ports], 0.9)
    ways["Node"] = (["node", "-e", NODE, "30", *ports], 0.9)
    for name, (argv, least) in ways.items():
        with rig.case(f"{name}: the right connection or none"):
            if not shutil.which(argv[0]):
                raise rig.Skip(f"no {argv[0]} here")
            requests += check(sensor, nginx, run(argv, nginx, [rig.token() for _ in range(1300)]), least)
    with rig.case("10,000 requests at least"):
        rig.need(requests >= 10000, f"{requests} only")
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    rig.finish()


main()
