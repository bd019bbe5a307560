#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Go's crypto/tls in programs as they are shipped (stripped, position independent, linked by the system's
linker) and as Go compilers since 1.17 have built them: each request is one use at each end, over the right
connection and with its own status, whatever threads a goroutine is in and wherever its stack is. What the
programs themselves get is what they asked for, also while probes come and go."""
import collections
import contextlib
import os
import subprocess
import sys
import threading

for _place in ("lib", "peers"):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", _place))
import peers  # noqa: E402  pylint: disable=wrong-import-position,import-error
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import seen  # noqa: E402  pylint: disable=wrong-import-position,import-error

# Both forms of each version are looked at by unit/test_elf_go.c.
BUILDS = ("plain", "stripped", "pie", "pie-stripped", "cgo", "cgo-pie-stripped",
          "1.17.13-exe", "1.18.10-pie", "1.20.14-exe", "1.21.13-pie", "1.25.0-exe")
TOO_OLD = "1.16.15-pie"	# arguments on the stack
# What other programs of this machine do is of no interest here.
OTHERS = [w for name in ("plain", "openssl", "gnutls", "wolfssl", "mbedtls", "s2n", "libressl")
          for w in ("--set", f"sources.{name}=false")]
MANY = 2000
PATHS = {"/items/many": 200, "/denied": 403, "/gone": 404}


class Client(peers.Client):
    def __init__(self, build, *words):  # pylint: disable=super-init-not-called
        self.exe, self.library = program(build), "go"
        self.process = rig.spawn([self.exe, *words], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pids = {self.process.pid}


class Server(peers.Server):
    def __init__(self, build, authority):  # pylint: disable=super-init-not-called
        self.exe, self.library, self.port = program(build), "go", rig.free_port()
        self.process = rig.spawn([self.exe, "server", str(self.port), authority.cert, authority.key])
        rig.wait_until(lambda: rig.listening(self.port), 10, f"{build} listens")

    def base(self):
        return f"https://localhost:{self.port}"


def program(build):
    return os.path.realpath(peers.program_of(os.path.join(peers.CACHE, "go_std", build)))


def ends_of(client, server):
    return [seen.End("egress", client.exe, client.pids, "go", server.port),
            seen.End("ingress", server.exe, server.pids, "go", server.port)]


def one_by_one(sensor, build, server, version, ca):
    client = Client(build, "client", version[0], server.base(), ca)
    a, b = rig.token(), rig.token()
    questions = [("GET", "/items/a", a), ("DELETE", "/denied", b), ("GET", "/gone", a), ("GET", "/items/a", a)]
    answers = client.ask_all(questions)
    wants = [seen.Want(token, method, path, status, port, version)
             for (method, path, token), (status, port) in zip(questions, answers)]
    rig.need_equal([w.status for w in wants], [200, 403, 404, 200], "statuses")
    seen.check(sensor, wants, ends_of(client, server))


def make_known(sensor, build, server, ca):
    """Shows the sensor the program's file, which is looked at when it is first mapped; when its probes are in
    place, a request of each version from then on is seen."""
    for _ in range(10):
        client, token = Client(build, "client", "1", server.base(), ca), rig.token()
        client.ask("GET", "/items/a", token)
        client.stop()
        with contextlib.suppress(AssertionError):
            rig.wait_until(lambda t=token: len(sensor.uses(sensor.ids([t]))) == 2, 1.5, "its uses")
            return
    rig.need(False, f"{build} is not probed")


def builds(sensor, authority):
    for build in BUILDS:
        with rig.case(f"{build}: client and server"):
            server = Server(build, authority)
            make_known(sensor, build, server, authority.ca)
            for version in ("1.1", "2"):
                one_by_one(sensor, build, server, version, authority.ca)
            server.stop()


def too_old(sensor, authority):
    with rig.case(f"{TOO_OLD}: works as before, and nothing is said of it"):
        server, tokens = Server(TOO_OLD, authority), [rig.token() for _ in range(4)]
        client = Client(TOO_OLD, "client", "2", server.base(), authority.ca)
        rig.need_equal([client.ask("GET", "/denied", t)[0] for t in tokens], [403] * 4, "statuses")
        client.stop()
        server.stop()
        rig.need_equal(sensor.wait_uses(sensor.ids(tokens), 1, seconds=1), [], "uses")


def need_each(uses, ids, answers, end):
    """Each token once at this end, with the path and status it was for and over the connection it went."""
    paths = list(PATHS)
    want = collections.Counter((i, paths[n % len(paths)], PATHS[paths[n % len(paths)]], port)
                               for n, (i, (_, port)) in enumerate(zip(ids, answers)))
    got = collections.Counter((u["token"]["id"], u["http"]["path"], u["http"].get("status"),
                               u.get("client", {}).get("port")) for u in uses
                              if u["direction"] == end.direction and u["process"]["executable"] == end.exe)
    rig.need_equal(((want - got).most_common(3), (got - want).most_common(3)), ([], []),
                   f"{end.direction}: missing, too many (token, path, status, client port)")
    rig.need_equal({u["count"] for u in uses}, {1}, "counts")


def ask_many(client, tokens, *words):
    answers = [a.split(":") for a in client.say(" ".join((*words, ",".join(PATHS), ",".join(tokens)))).split()]
    rig.need_equal(collections.Counter(a[0] for a in answers),
                   collections.Counter(str(list(PATHS.values())[i % len(PATHS)]) for i in range(len(tokens))),
                   "answers by status")
    return [(int(status), int(port)) for status, port in answers]


def many(sensor, build, authority, version, connections):
    """Goroutines that go from thread to thread, on several connections at once."""
    with rig.case(f"{build}: {MANY} requests at once, HTTP/{version}"):
        server, tokens = Server(build, authority), [rig.token() for _ in range(MANY)]
        client = Client(build, "client", version[0], server.base(), authority.ca)
        answers = ask_many(client, tokens, "many")
        # Go may dial one more than it uses at a time.
        ports = len({port for _, port in answers})
        rig.need(connections <= ports <= connections + connections // 4, f"{ports} connections")
        ids = sensor.ids(tokens)
        uses = sensor.wait_uses(ids, 2 * MANY)
        client.stop()
        for end in ends_of(client, server):
            need_each(uses, ids, answers, end)
        server.stop()


def deep(sensor, build, authority):
    """A call that finds its stack too small begins twice, and a buffer on the stack moves with it."""
    with rig.case(f"{build}: calls from 400 depths of the stack, and into buffers on it"):
        server, tokens = Server(build, authority), [rig.token() for _ in range(400)]
        client = Client(build, "deep", f"localhost:{server.port}", authority.ca)
        answers = ask_many(client, tokens)
        ids = sensor.ids(tokens)
        uses = sensor.wait_uses(ids, 2 * len(ids))
        client.stop()
        for end in ends_of(client, server):
            need_each(uses, ids, answers, end)
        server.stop()


def refused(sensor, build, authority):
    """A request that its Write could not send has not been used."""
    with rig.case(f"{build}: a request that was not sent is not reported"):
        server, tokens = Server(build, authority), [rig.token() for _ in range(4)]
        client = Client(build, "deep", f"localhost:{server.port}", authority.ca)
        for token in tokens[:3]:
            rig.need_equal(client.say(f"refused {token}"), "refused", "answer")
        ask_many(client, tokens[3:])
        uses = sensor.wait_uses(sensor.ids(tokens), 2)
        rig.need_equal([u["token"]["id"] for u in uses], sensor.ids(tokens[3:]) * 2, "tokens that were used")
        client.stop()
        server.stop()


def refused_again(work, authority):
    """The same of repeats, which the kernel adds up: it was counted before it was found not to be sent."""
    with rig.case("repeats that were not sent are not counted, and those that were are"):
        sensor = rig.Sensor(work, *OTHERS, per_call=False)
        server, token = Server("stripped", authority), rig.token()
        client = Client("stripped", "deep", f"localhost:{server.port}", authority.ca)
        for _ in range(5):
            rig.need_equal(client.say(f"refused {token}"), "refused", "answer")
        rounds = 4
        ask_many(client, [token] * rounds * len(PATHS))
        client.stop()
        server.stop()
        rig.need_equal(sensor.stop(), 0, "status of the sensor")
        sums = collections.Counter()
        for u in sensor.uses(sensor.ids([token])):
            sums[u["direction"], u["http"]["path"], u["http"].get("status")] += u["count"]
        rig.need_equal(sums, {(d, p, s): rounds for d in ("egress", "ingress") for p, s in PATHS.items()}, "uses")


def come_and_go(work, authority):
    """Sensors begin and end while programs work: every answer is right, and no program ends."""
    with rig.case("probes come and go under load"):
        server = Server("pie-stripped", authority)
        client = Client("pie-stripped", "client", "1", server.base(), authority.ca)
        done, rounds, wrong = threading.Event(), [], []

        def load():
            while not done.is_set():
                try:
                    ask_many(client, [rig.token() for _ in range(50)], "many")
                    rounds.append(1)
                except Exception as e:  # pylint: disable=broad-except
                    wrong.append(e)
                    return

        thread = threading.Thread(target=load)
        thread.start()
        for _ in range(2):
            sensor = rig.Sensor(work, *OTHERS)
            before = len(rounds)
            rig.wait_until(lambda: wrong or len(rounds) > before + 1, 20, "rounds under probes")  # pylint: disable=cell-var-from-loop
            rig.need_equal(sensor.stop(), 0, "status of the sensor")
        before = len(rounds)
        rig.wait_until(lambda: wrong or len(rounds) > before, 20, "rounds after probes")
        done.set()
        thread.join(30)
        rig.need_equal(wrong, [], "wrong answers")
        client.stop()
        rig.need(server.process.poll() is None, "the server has ended")
        server.stop()


def main():
    rig.need_root()
    work = rig.work_dir("go")
    authority = rig.Authority(work)
    sensor = rig.Sensor(work, *OTHERS)
    builds(sensor, authority)
    too_old(sensor, authority)
    many(sensor, "stripped", authority, "1.1", 20)
    many(sensor, "1.20.14-exe", authority, "2", 1)
    for build in ("stripped", "1.20.14-exe"):
        deep(sensor, build, authority)
        refused(sensor, build, authority)
    with rig.case("the sensor ends with status 0, and nothing was lost"):
        seen.nothing_lost(sensor)
    refused_again(work, authority)
    come_and_go(work, authority)
    rig.finish()


main()
