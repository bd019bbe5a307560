#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The most that either process ever had resident, under loads that `make bench` has too: nginx with TLS, 16 kept-alive
connections, both ends probed, a JWT of 900 bytes or 1,000 tokens in turn; and with Kafka out of reach.

It is VmHWM of /proc/PID/status, which the kernel keeps for a process from the start of its program on: the first start
is in it, with the loading of kernel programs and the search through files that were never looked at before
(of sources.preattach, too, where Node's is the largest on most machines). It counts each page that the
process has mapped, those that it shares with others as well: libraries, rows of repeats, the window on the ring."""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
for _place in ("../lib", "../peers", "../bench"):
    sys.path.insert(0, os.path.join(HERE, _place))
import rig  # noqa: E402  pylint: disable=wrong-import-position,import-error
import ground  # noqa: E402  pylint: disable=wrong-import-position,import-error
import meters  # noqa: E402  pylint: disable=wrong-import-position,import-error

LIMIT_MIB, KAFKA_MIB = 16, 48
RATE = 1000
# More than librdkafka is given of a topic at a time, 1,000 records: the rest waits in the spool.
MANY = 4000


def need_peaks(sensor, limit):
    peaks = {name: meters.resident_mib(pid, True) for name, pid in (("monitor", sensor.monitor), ("agent", sensor.agent))}
    print("    " + ", ".join(f"{name} {peak:.1f} MiB" for name, peak in peaks.items()))
    for name, peak in peaks.items():
        rig.need(0 < peak <= limit, f"the {name} had {peak:.1f} MiB resident, more than {limit}")


def seen(sensor, token_id):
    return {d: rig.total(sensor.uses(token_id, d)) for d in ("egress", "ingress")}


def tokens_seen(sensor):
    return len({u["token"]["id"] for u in sensor.records()})


def one_token(sensor, site):
    client = ground.Client(site)
    with rig.case(f"at most {LIMIT_MIB} MiB with a JWT in each request, all of which are seen"):
        requests = client.run(seconds=4, rate=RATE)["requests"]
        token_id = sensor.ids([site.token])[0]
        rig.wait_until(lambda: min(seen(sensor, token_id).values()) >= requests, 15, "uses of all requests")
        need_peaks(sensor, LIMIT_MIB)
    client.end()


def many_tokens(sensor, site, count, limit, what):
    client = ground.Client(site, made=(os.getpid(), 40))
    with rig.case(f"at most {limit} MiB with {count} tokens{what}"):
        client.run(seconds=4, rate=RATE, count=count)
        # Some may be lost where the machine is busy; as many as make a difference have to be there.
        rig.wait_until(lambda: tokens_seen(sensor) >= count * 3 / 4, 15, f"most of {count} tokens")
        need_peaks(sensor, limit)
    client.end()


def main():
    rig.need_root()
    base = ground.Ground(rig.work_dir("resident"))
    site = ground.Site(base, "site")
    sensor = rig.Sensor(site.dir, per_call=False)
    with rig.case(f"at most {LIMIT_MIB} MiB at the first start"):
        need_peaks(sensor, LIMIT_MIB)
    one_token(sensor, site)
    many_tokens(sensor, site, 1000, LIMIT_MIB, "")
    with rig.case("the sensor ends with status 0"):
        rig.need_equal(sensor.stop(), 0, "status")
    sensor = rig.Sensor(site.dir, "--set", "kafka.enabled=true", "--set", f"kafka.brokers=127.0.0.1:{rig.free_port()}", per_call=False)
    many_tokens(sensor, site, MANY, KAFKA_MIB, ", more than Kafka's queue takes, with Kafka out of reach")
    with rig.case("the sensor ends with status 0 with Kafka out of reach"):
        rig.need_equal(sensor.stop(seconds=60), 0, "status")
    site.stop()
    rig.finish()


main()
