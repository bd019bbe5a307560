# SPDX-License-Identifier: Apache-2.0
"""How long it takes from exec to the first covered call, of a program whose file nobody ran before."""
import os
import shutil

import ground
import lives  # pylint: disable=import-error
import meters
import probes
import rig  # pylint: disable=import-error

FILES = 10
REQUESTS = 1000     # without a pause between them


def one_file(s, site, number):
    """(ms, requests missed, ms that coverage tells); None: it ended before it was covered."""
    program = os.path.join(site.dir, f"new{number}")
    shutil.copy(lives.BRIEF + "-static", program)
    life = lives.Life(program, site.tls, REQUESTS)
    s.wait_uses(s.ids([life.token]), REQUESTS, seconds=3)
    if not s.uses(s.ids([life.token]), "egress"):
        return program, None
    ms, missed = lives.first_seen(s, life)
    record = rig.wait_until(lambda: next((r for r in s.records("coverage") if r["process"].get("executable") == program and
                                          "exec_to_first_call_ms" in r["coverage"]), None), 10, "its coverage record")
    return program, (ms, missed, record["coverage"]["exec_to_first_call_ms"])


def run(bench):
    site = ground.Site(bench, "covered")
    found, again = [], []
    with probes.sensor(site.dir, "--per-call") as s:
        for i in range(FILES):
            program, got = one_file(s, site, i)
            found += [got] if got else []
            again.append(lives.Life(program, site.tls, 1).token)
        ids = s.ids(again)
        s.wait_uses(ids, 2 * FILES)
        known = sum(bool(s.uses(i, "egress")) for i in ids)
    site.stop()
    rig.need(found, f"none of {FILES} programs was covered within its {REQUESTS} requests")
    ms, missed, told = zip(*found)
    return {"ms": meters.spread(ms), "missed": meters.spread(missed), "told_ms": meters.spread(told), "files": FILES,
            "covered": len(found), "known_again": known}


def show(result):
    print(f"{result['files']} static programs that nobody knew, each a file of its own (min / median / max); {result['covered']} of them were covered\n"
          f"before they had made {REQUESTS} requests and ended:\n")
    print(f"  from exec to the first call that was seen: {meters.shown(result['ms'], 1)} ms; by coverage: {meters.shown(result['told_ms'], 1)} ms")
    print(f"  requests missed before it, of {REQUESTS} without a pause: {meters.shown(result['missed'], 0)}")
    print(f"  the only request of a second run of the same file was seen: {result['known_again']} of {result['files']}")


def figures(result):
    return {"second runs seen, of all": result["known_again"] / result["files"]}
