#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the sensor costs, beside no probes, empty probes and bpftrace. Variants take turns inside each
round, since a machine's speed drifts; ratios are within a round. Each has its own copy of the library,
so that no probe of one touches another.

    bench.py [--only TABLE,...] [--all] [--keep] [--rounds N] [--seconds S] [--requests N] [--symbols] [--scale N]

As root. Without --only it makes the tables marked with * here, which take some ten minutes together:

%s

Prints each table, writes build/bench.json, and says what differs from the run that was kept
(tests/bench/kept.json; --keep writes it)."""
import argparse
import importlib
import json
import os
import re
import signal
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
for _place in ("../lib", "../peers"):
    sys.path.insert(0, os.path.join(HERE, _place))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import ground  # noqa: E402  pylint: disable=wrong-import-position
import kept  # noqa: E402  pylint: disable=wrong-import-position

# Name of a module in tables/: is it made without --only and --all?
TABLES = {"cost": True, "latency": True, "sizes": True, "handshakes": True, "servers": True, "losses": True, "agent": True,
          "covered": True, "processes": False, "connections": False, "tokens": False}


def table(name):
    return importlib.import_module("tables." + name)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return {"cpu": model.group(1) if model else os.uname().machine, "cpus": os.cpu_count(), "kernel": os.uname().release.split("-")[0]}


def parse():
    listed = "\n".join(f"    {'*' if by_default else ' '} {name:12} {' '.join(table(name).__doc__.split())}" for name, by_default in TABLES.items())
    ap = argparse.ArgumentParser(description=__doc__ % listed, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--only", default=os.environ.get("TABLES", ""), help="these tables, with commas between them")
    ap.add_argument("--all", action="store_true", help="all tables")
    ap.add_argument("--keep", action="store_true", default=os.environ.get("KEEP", "") not in ("", "0"), help="write kept.json")
    ap.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "5")))
    ap.add_argument("--seconds", type=float, default=float(os.environ.get("SECONDS_EACH", "2")))
    ap.add_argument("--requests", type=int, default=int(os.environ.get("REQUESTS_EACH", "15000")))
    ap.add_argument("--scale", type=int, default=int(os.environ.get("SCALE_MOST", "1000000")),
                    help="no more processes, connections or tokens than this")
    ap.add_argument("--symbols", action="store_true", help="the sensor with its probes at the symbols, too")
    opt = ap.parse_args()
    opt.tables = [n for n in opt.only.split(",") if n] or [n for n, by_default in TABLES.items() if by_default or opt.all]
    unknown = [n for n in opt.tables if n not in TABLES]
    if unknown:
        ap.error(f"no such table: {', '.join(unknown)}; there are {', '.join(TABLES)}")
    return opt


def main():
    opt = parse()
    rig.need_root()
    bench = ground.Bench(rig.work_dir("bench"), opt)
    report = {"machine": machine(), "rounds": opt.rounds, "seconds": opt.seconds, "tables": {}}
    figures, failed = {}, []
    for name in opt.tables:
        began = time.monotonic()
        try:
            result = table(name).run(bench)
        except (AssertionError, OSError, rig.Skip) as e:    # the other tables are worth having
            print(f"== {name}\n\n  {'not measured' if isinstance(e, rig.Skip) else 'FAILED'}: {e}\n", flush=True)
            failed += [] if isinstance(e, rig.Skip) else [name]
            continue
        took = time.monotonic() - began
        print(f"== {name} ({took:.0f} s)\n", flush=True)
        table(name).show(result)
        print(flush=True)
        report["tables"][name] = {**result, "took_seconds": took}
        figures[name] = table(name).figures(result)
        with open(os.path.join(rig.BUILD, "bench.json"), "w", encoding="ascii") as f:
            json.dump(report, f, indent=1)
    kept.compare(report["machine"], figures)
    if opt.keep and not failed:
        kept.write(report["machine"], figures)
    rig.cleanup()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    main()
