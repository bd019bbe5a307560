#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What bad input gets: no privileges, no BPF, wrong settings, wrong arguments, a full disk."""
import http.client
import json
import os
import re
import shutil
import signal
import sqlite3
import string
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error


def one_line(err):
    lines = [line for line in err.splitlines() if line.strip()]
    rig.need_equal(len(lines), 1, f"lines on standard error ({err.strip()[-400:]!r})")
    return lines[0]


def refused(prefix, work, binary):
    """`run` as somebody who can't: (status, the one line)."""
    state = os.path.join(work, "refused")
    code, out, err = rig.run([*prefix, binary, "run", "--output", "json", "--state-dir", state,
                              "--key", os.path.join(state, "fleet.key")], check=False, seconds=30)
    rig.need_equal(out, "", "standard output")
    return code, one_line(err)


def privileges(work):
    binary = os.path.join(work, "tokentrail")
    shutil.copy(rig.TOKENTRAIL, binary)
    os.chmod(binary, 0o755)
    with rig.case("not root: one line that says so, status 3"):
        code, line = refused(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], work, binary)
        rig.need_equal(code, 3, f"status ({line})")
        rig.need(re.search("root|privilege|capabilit", line), line)
    with rig.case("root without BPF: one line that says so, status 3"):
        code, line = refused(["setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon"], work, binary)
        rig.need_equal(code, 3, f"status ({line})")
        rig.need(re.search("BPF|bpf|CAP_|capabilit", line), line)


WRONG = {
    "unknown key": ("kafka:\n  brokrs: a:1\n", 2, 3, ["kafka.brokrs", "kafka.brokers"]),
    "unknown section": ("node:\n  name: a\nkafak:\n  brokers: a:1\n", 3, 1, ["kafak", "kafka"]),
    "not a number": ("limits:\n  ring: many\n", 2, 9, ["limits.ring"]),
    "out of bounds": ("limits:\n  connections: 7\n", 2, 16, ["limits.connections"]),
    "no YAML": ("node:\n  name: [a\nkafka: }\n", 3, None, []),
}


def configuration(work):
    path = os.path.join(work, "wrong.yaml")
    for name, (text, line, column, words) in WRONG.items():
        with rig.case(f"configuration, {name}: file, line, column, key, status 2"):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            for command in (["run", "--output", "json", "--state-dir", os.path.join(work, "none")], ["tokens"]):
                code, out, err = rig.run([rig.TOKENTRAIL, *command, "--config", path], check=False, seconds=30)
                said = one_line(err)
                rig.need_equal((code, out), (2, ""), f"status and output ({said})")
                where = f"{path}:{line}:" + (f"{column}:" if column else "")
                rig.need(where in said, f"{where!r} is not in {said!r}")
                for word in words:
                    rig.need(word in said, f"{word!r} is not in {said!r}")
    with rig.case("a configuration file that is not there: status 2"):
        code, _, err = rig.run([rig.TOKENTRAIL, "run", "--config", path + ".none"], check=False)
        rig.need_equal(code, 2, f"status ({err.strip()})")
        rig.need(path + ".none" in one_line(err), err)


def arguments(work):
    key = os.path.join(work, "fleet.key")
    rig.new_key(key)
    token = rig.token()
    with rig.case("fingerprint takes no token as an argument and does not repeat it"):
        code, out, err = rig.run([rig.TOKENTRAIL, "fingerprint", "--key", key, token], check=False)
        rig.need_equal((code, out), (2, ""), "status and output")
        rig.need(token not in err and token[4:12] not in err, "the token was repeated")
    with rig.case("wrong commands and options: status 2, the remedy, no token repeated"):
        for argv in ([token], ["run", "--no-such"], ["trace"], ["tokens", "--limit", "x"],
                     ["key", "forget"], ["run", "--output", "xml"], ["uses", "--since", "never"]):
            code, out, err = rig.run([rig.TOKENTRAIL, *argv], check=False)
            rig.need_equal((code, out), (2, ""), f"status and output of {argv[:2]} ({err.strip()})")
            rig.need(err.strip() and token not in err, f"{argv[0]}: {err}")
    with rig.case("--help of every command: status 0, examples"):
        text = rig.run([rig.TOKENTRAIL, "--help"])[1].partition("Commands:\n")[2].partition("\n\n")[0]
        listed = re.findall(r"^  ([a-z]+) +\S", text, re.M)
        rig.need({"run", "tokens", "uses", "trace", "fingerprint", "key", "doctor", "version"} <= set(listed),
                 f"commands {listed}")
        for command in listed:
            out = rig.run([rig.TOKENTRAIL, command, "--help"])[1]
            rig.need("Usage: tokentrail " + command in out and "Example" in out, f"{command} --help: {out[:200]}")
    with rig.case("a key file that others can read is refused"):
        os.chmod(key, 0o644)
        code, _, err = rig.run([rig.TOKENTRAIL, "fingerprint", "--key", key], stdin="x\n", check=False)
        rig.need_equal(code, 3, f"status ({err.strip()})")
        rig.need(key in err, err)


def doctor():
    with rig.case("doctor: status 0, a line for each thing, as text and as JSON"):
        out = rig.run([rig.TOKENTRAIL, "doctor"], seconds=120)[1]
        rig.need(len(out.splitlines()) >= 5, out)
        print("".join(f"  | {line}\n" for line in out.splitlines()))
        out = rig.run([rig.TOKENTRAIL, "doctor", "--json"], seconds=120)[1]
        rig.need(out.lstrip().startswith("{"), out[:200])
        rig.need({"memory", "limits"} <= {json.loads(line)["name"] for line in out.splitlines()}, out)
    with rig.case("limits that do not fit into limits.memory are refused, and said how much is needed"):
        env = {**os.environ, "TOKENTRAIL_LIMITS_TOKENS": "9000000"}
        for command in (["doctor"], ["run", "--duration", "1"]):
            code, out, err = rig.run([rig.TOKENTRAIL, *command], seconds=120, env=env, check=False)
            rig.need_equal(code, 2, f"status ({out} {err})")
            rig.need("'limits.memory' is 128MiB, but the other limits need 6" in out + err, out + err)


class Service:
    """Calls with many different paths over one connection."""

    def __init__(self, nginx):
        self.connection = http.client.HTTPConnection("127.0.0.1", nginx.plain)

    def call(self, token, path="/v1/items"):
        self.connection.request("GET", path, headers={"Authorization": "Bearer " + token})
        answer = self.connection.getresponse()
        answer.read()
        rig.need_equal(answer.status, 200, "status")


def words(count):
    """Path segments that are neither numbers nor long enough for a secret."""
    letters = string.ascii_lowercase
    return [letters[i // 676 % 26] + letters[i // 26 % 26] + letters[i % 26] + "-" + "longer" for i in range(count)]


def need_store_sound(path):
    with sqlite3.connect(path) as db:
        rig.need_equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity_check")


def said_about_store(sensor):
    return [line for line in sensor.errors().splitlines() if re.search("store", line)
            and re.search("full|space|limit|max_size|grow", line)]


def full_store(work, service):
    with rig.case("store.max_size: the store stops growing, says so, and use goes on"):
        config = os.path.join(work, "small.yaml")
        with open(config, "w", encoding="ascii") as f:
            f.write("store:\n  max_size: 1MiB\n")
        sensor = rig.Sensor(work, "--config", config)
        token, paths = rig.token(), words(8000)
        token_id = sensor.ids([token])[0]
        for path in paths:
            service.call(token, "/p/" + path)
        sensor.wait_uses(token_id, 2 * len(paths), 30)
        rig.need_equal(rig.total(sensor.uses(token_id)), 2 * len(paths), "uses on standard output")
        rig.wait_until(lambda: said_about_store(sensor), 10, "it says that the store is full")
        rig.need_equal(sensor.stop(), 0, "status")
        store = os.path.join(sensor.state, "store.db")
        rig.need(os.path.getsize(store) <= 1100000, f"{os.path.getsize(store)} bytes")
        need_store_sound(store)
        rig.need("store_failed" in sensor.losses(), "store_failed is counted")
    with rig.case("trace takes no token as an argument and does not repeat it; an unknown id is status 1"):
        code, out, err = rig.run([rig.TOKENTRAIL, "trace", "--store", store, token], check=False)
        rig.need_equal((code, out), (2, ""), f"status and output ({err.strip().replace(token, 'TOKEN')})")
        rig.need(token not in err, "the token was repeated")
        unknown = "tt1_" + "a" * 32
        rig.need_equal(rig.run([rig.TOKENTRAIL, "trace", "--store", store, unknown], check=False)[0], 1, "status")
        rig.need(token_id in rig.run([rig.TOKENTRAIL, "trace", "--store", store, token_id])[1], "a known id is traced")


def full_disk(work, service):
    with rig.case("disk full: says so, use goes on, and it writes again when there is space"):
        mount = os.path.join(work, "disk")
        os.mkdir(mount, 0o755)
        code, _, err = rig.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tokentrail-test", mount], check=False)
        if code != 0:
            raise rig.Skip(f"no tmpfs can be mounted here: {err.strip()}")
        try:
            fill_disk(work, mount, service)
        finally:
            rig.run(["umount", "-l", mount], check=False)


def fill_disk(work, mount, service):
    sensor = rig.Sensor(work, state=os.path.join(mount, "state"))
    filler = os.path.join(mount, "filler")
    with open(filler, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass
    tokens = [rig.token() for _ in range(2)]
    ids = sensor.ids(tokens)
    paths = words(2000)
    for path in paths:
        service.call(tokens[0], "/p/" + path)
    sensor.wait_uses(ids[0], 2 * len(paths), 30)
    rig.need_equal(rig.total(sensor.uses(ids[0])), 2 * len(paths), "uses on standard output")
    rig.wait_until(lambda: said_about_store(sensor), 10, "it says that the disk is full")
    os.remove(filler)
    # It may wait a while before it tries the disk again.
    end = time.monotonic() + 60
    store = os.path.join(sensor.state, "store.db")
    while time.monotonic() < end:
        service.call(tokens[1])
        time.sleep(2)
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as db:
            if db.execute("SELECT count(*) FROM uses WHERE token = ?", (ids[1],)).fetchone()[0]:
                break
    else:
        raise AssertionError("no use was stored within 60 s of the disk having space again")
    rig.need_equal(sensor.stop(signal.SIGTERM), 0, "status")
    need_store_sound(store)


def main():
    rig.need_root()
    work = rig.work_dir("errors")
    privileges(work)
    configuration(work)
    arguments(work)
    doctor()
    nginx = rig.Nginx(work, rig.Authority(work))
    service = Service(nginx)
    full_store(work, service)
    full_disk(work, service)
    rig.finish()


main()
