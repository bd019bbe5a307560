#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that live for some milliseconds. With a library that is known, the first request is seen; how
long it takes until a file that nobody knew is covered, and what is missed until then, is measured and
said."""
import os
import shutil
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
from lives import BRIEF, Life, first_seen, percentiles  # noqa: E402  pylint: disable=wrong-import-position,import-error

LIVES = 200
NEW_FILES = 10
REQUESTS = 1000		# of a program whose file is new, without a pause
LIMIT_MS = 1000		# from exec to the first covered call, on a machine that does other things too: so long it lives


def known_library(sensor, nginx):
    with rig.case(f"{LIVES} programs in a row that live some milliseconds: the only request of each is seen"):
        lives, lengths = [], []
        for _ in range(LIVES):
            lives.append(Life(BRIEF, nginx.tls, 1))
            lengths.append(lives[-1].ms())
        ids = sensor.ids([life.token for life in lives])
        sensor.wait_uses(ids, 2 * LIVES, seconds=30)
        missed = [i for i, token_id in enumerate(ids) if rig.total(sensor.uses(token_id, "egress")) != 1]
        print(f"# from start to end of such a program: {percentiles(lengths)}")
        rig.need(not missed, f"{len(missed)} of {LIVES} were not seen once: numbers {missed[:10]}")
        rig.need(statistics.median(lengths) < 200, "these programs live too long to show anything")


def new_file(sensor, nginx, work):
    with rig.case(f"a static program that nobody knew: covered within {LIMIT_MS} ms, from then on all is seen"):
        times, missed, again = [], [], []
        for i in range(NEW_FILES):
            program = os.path.join(work, f"new{i}")
            shutil.copy(BRIEF + "-static", program)
            ms, n = first_seen(sensor, Life(program, nginx.tls, REQUESTS, LIMIT_MS))
            times.append(ms)
            missed.append(n)
            again.append(Life(program, nginx.tls, 1))
        print(f"# from exec to the first call that was seen: {percentiles(times)}")
        print(f"# requests missed before it, the first {REQUESTS} without a pause between them: {sorted(missed)}")
        rig.need(max(times) < LIMIT_MS, f"{max(times):.0f} ms")
        ids = sensor.ids([life.token for life in again])
        sensor.wait_uses(ids, 2 * NEW_FILES)
        rig.need_equal([rig.total(sensor.uses(i, "egress")) for i in ids], [1] * NEW_FILES,
                       "requests of the same files' second processes")


def said_by_coverage(sensor, nginx, work):
    with rig.case("coverage tells the time from exec to the first covered call"):
        program = os.path.join(work, "told")
        shutil.copy(BRIEF + "-static", program)
        Life(program, nginx.tls, REQUESTS, LIMIT_MS)
        record = rig.wait_until(lambda: next((r for r in sensor.records("coverage") if
                                              r["process"].get("executable") == program and "exec_to_first_call_ms" in r["coverage"]), None), 10,
                                "its record with that time")
        rig.need(0 < record["coverage"]["exec_to_first_call_ms"] < LIMIT_MS,
                 f"exec_to_first_call_ms {record['coverage']}")


def main():
    rig.need_root()
    work = rig.work_dir("short")
    authority = rig.Authority(work)
    nginx = rig.Nginx(work, authority, workers=2)
    sensor = rig.Sensor(work)
    known_library(sensor, nginx)
    new_file(sensor, nginx, work)
    said_by_coverage(sensor, nginx, work)
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    rig.finish()


main()
