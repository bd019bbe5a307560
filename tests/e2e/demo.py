#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make demo` on a terminal: rows of the ordinary clients within ten seconds, gone with Ctrl-C."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error

CLIENTS = ("curl", "openssl", "wget", "python")


def read_screen(fd, seconds, until):
    """Everything the terminal was sent until `until` is true of it; escape sequences removed."""
    seen, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode("utf-8", "replace"))
        if until(text):
            return text, True
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode("utf-8", "replace")), False


def start(stderr=None):
    """`make demo`'s script as the foreground of a terminal of its own: (process, terminal)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 180, 0, 0))
    demo = rig.spawn([os.path.join(rig.ROOT, "tests", "lib", "demo.sh")], stdin=slave, stdout=slave,
                     stderr=stderr or slave, start_new_session=True,
                     preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)
    return demo, master


def processes_of(demo):
    left = subprocess.run(["ps", "-s", str(demo.pid), "-o", "stat,pid,args", "--no-headers"],
                          capture_output=True, text=True, check=False).stdout
    # A zombie has ended; who reaps it is pid 1's business.
    return [line for line in left.splitlines() if not line.startswith("Z")]


def need_nothing_left(demo, before):
    rig.wait_until(lambda: not processes_of(demo), 10, "no process of it stays")
    stayed = {d for d in set(os.listdir("/tmp")) - before if os.path.exists(f"/tmp/{d}/fleet.key")}
    rig.need_equal(stayed, set(), "directories that stayed")


def main():
    rig.need_root()
    before = set(os.listdir("/tmp"))
    demo, terminal = start()
    with rig.case("rows of all clients appear within ten seconds"):
        text, good = read_screen(terminal, 10, lambda t: "tt1_" in t and all(c in t for c in CLIENTS))
        rig.need(good, f"only this: {text[-1500:]!r}")
        rig.need(re.search("github_pat|stripe|slack", text), "classes of tokens are named")
    with rig.case("Ctrl-C ends it, and nothing of it stays"):
        os.write(terminal, b"\x03")
        text, _ = read_screen(terminal, 15, lambda t: demo.poll() is not None)
        rig.wait_until(lambda: demo.poll() is not None, 15, "it ends")
        rig.need_equal(demo.returncode, 0, f"status ({text[-300:]!r})")
        need_nothing_left(demo, before)
    with rig.case("Ctrl-C reaches it with standard error elsewhere"):
        demo, terminal = start(stderr=subprocess.DEVNULL)
        rig.need(read_screen(terminal, 10, lambda t: "tt1_" in t)[1], "no row")
        os.write(terminal, b"\x03")
        read_screen(terminal, 15, lambda t: demo.poll() is not None)
        rig.wait_until(lambda: demo.poll() is not None, 15, "it ends")
        rig.need_equal(demo.returncode, 0, "status")
        need_nothing_left(demo, before)
    with rig.case("the end of the terminal is its end too"):
        demo, terminal = start()
        rig.need(read_screen(terminal, 10, lambda t: "tt1_" in t)[1], "no row")
        os.close(terminal)
        rig.wait_until(lambda: demo.poll() is not None, 15, "it ends")
        need_nothing_left(demo, before)
    rig.finish()


main()
