# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka for an end-to-end test: own port, own directory, ended with the test."""
import atexit
import json
import os
import subprocess

import rig

HERE = os.path.dirname(os.path.realpath(__file__))
TOPICS = ("tokentrail.uses", "tokentrail.tokens", "tokentrail.mints", "tokentrail.coverage", "tokentrail.loss")


class Broker:
    def __init__(self, directory):
        # kafka-up.sh adds a controller and a SASL listener on the two ports that follow.
        self.port = rig.free_port(3)
        self.dir = os.path.join(directory, f"kafka-{self.port}")
        self.env = {**os.environ, "KAFKA_PORT": str(self.port), "KAFKA_DIR": self.dir}
        atexit.register(self.stop)
        self.start()
        for topic in TOPICS:
            self.call("topic", topic, "--partitions", "1")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def call(self, *args):
        p = subprocess.run([os.path.join(HERE, "kafka-up.sh"), *args], env=self.env, text=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=180, check=False)
        rig.need_equal(p.returncode, 0, f"kafka-up.sh {args[0]}: {p.stdout.strip()[-300:]}; status")
        return p.stdout

    def start(self):
        self.call("start")

    def kill9(self):
        self.call("kill9")

    def stop(self):
        if os.path.exists(os.path.join(self.dir, "pid")):
            self.call("stop")

    def config(self, path):
        """A configuration file for a sensor that publishes here."""
        with open(path, "w", encoding="ascii") as f:
            f.write(f"kafka:\n  enabled: true\n  brokers: {self.address}\n")
        os.chmod(path, 0o644)
        return path

    def uses(self):
        """All records of the topic `uses`, decoded by an independent protobuf decoder."""
        out = rig.run([os.path.join(HERE, "kafka_read.py"), "--brokers", self.address, "--topic",
                       "tokentrail.uses", "--json"], seconds=120)[1]
        return [json.loads(line) for line in out.splitlines()]
