#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real single-node Apache Kafka (KRaft) on loopback, from Maven's jars.
#   kafka-up.sh fetch            jars into $KAFKA_LIBS (once)
#   kafka-up.sh start|stop|kill9 broker control; "start" after "kill9" keeps the data
#   kafka-up.sh topic NAME [--partitions N] [--config k=v]...
#   kafka-up.sh cmd CLASS ARGS...  any admin class of the jars
# Listeners: PLAINTEXT on $KAFKA_PORT, CONTROLLER on +1, SASL_SSL (SCRAM-SHA-512) on +2.
# User "agent"/"agent-secret"; CA in $KAFKA_DIR/tls/ca.crt; PLAINTEXT clients are super users.
# KAFKA_AUTO_CREATE=true: a topic is made by its first use. Needs java, maven, openssl and kcat.
set -euo pipefail

KAFKA_VERSION=${KAFKA_VERSION:-3.9.1}
KAFKA_PORT=${KAFKA_PORT:-19092}
CACHE=${TOKENTRAIL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tokentrail}
KAFKA_LIBS=${KAFKA_LIBS:-$CACHE/kafka-$KAFKA_VERSION}
KAFKA_DIR=${KAFKA_DIR:-${TMPDIR:-/tmp}/tokentrail-kafka-$KAFKA_PORT}
HEAP=${KAFKA_HEAP:-256m}
BOOT=127.0.0.1:$KAFKA_PORT

jvm() {
	java -Xms64m "-Xmx$HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		"-Dlog4j.configuration=file:$KAFKA_DIR/log4j.properties" -cp "$KAFKA_LIBS/*" "$@"
}

fetch() {
	[ -e "$KAFKA_LIBS/.done" ] && return 0
	local pom
	mkdir -p "$KAFKA_LIBS" && pom=$(mktemp -d)
	cat >"$pom/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tokentrail.test</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
	mvn -q -B -f "$pom/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DincludeScope=runtime "-DoutputDirectory=$KAFKA_LIBS"
	rm -r "$pom"
	touch "$KAFKA_LIBS/.done"
}

tls() {
	local t=$KAFKA_DIR/tls
	[ -e "$t/server.pem" ] && return 0
	mkdir -p "$t"
	openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tokentrail-test-ca \
		-keyout "$t/ca.key" -out "$t/ca.crt" 2>/dev/null
	openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$t/server.key" -out "$t/server.csr" 2>/dev/null
	openssl x509 -req -in "$t/server.csr" -CA "$t/ca.crt" -CAkey "$t/ca.key" -CAcreateserial -days 30 \
		-extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1') -out "$t/server.crt" 2>/dev/null
	{ openssl pkcs8 -topk8 -nocrypt -in "$t/server.key"; cat "$t/server.crt" "$t/ca.crt"; } >"$t/server.pem"
}

config() {
	mkdir -p "$KAFKA_DIR"
	tls
	cat >"$KAFKA_DIR/log4j.properties" <<LOG
log4j.rootLogger=INFO, F
log4j.appender.F=org.apache.log4j.FileAppender
log4j.appender.F.File=$KAFKA_DIR/server.log
log4j.appender.F.layout=org.apache.log4j.PatternLayout
log4j.appender.F.layout.ConversionPattern=%d %p %m (%c)%n
LOG
	cat >"$KAFKA_DIR/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((KAFKA_PORT + 1))
listeners=PLAINTEXT://$BOOT,CONTROLLER://127.0.0.1:$((KAFKA_PORT + 1)),SASL_SSL://127.0.0.1:$((KAFKA_PORT + 2))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location=$KAFKA_DIR/tls/server.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=$KAFKA_DIR/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=${KAFKA_AUTO_CREATE:-false}
log.cleaner.backoff.ms=500
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
CONF
}

start() {
	fetch
	config
	[ -d "$KAFKA_DIR/data" ] || jvm kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qk \
		-c "$KAFKA_DIR/server.properties" \
		--add-scram 'SCRAM-SHA-512=[name=agent,password=agent-secret]' >"$KAFKA_DIR/format.log" 2>&1
	nohup java -Xms64m "-Xmx$HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		"-Dlog4j.configuration=file:$KAFKA_DIR/log4j.properties" -cp "$KAFKA_LIBS/*" \
		kafka.Kafka "$KAFKA_DIR/server.properties" >"$KAFKA_DIR/out.log" 2>&1 </dev/null &
	echo $! >"$KAFKA_DIR/pid"
	for _ in $(seq 300); do
		kcat -b "$BOOT" -L -m 1 >/dev/null 2>&1 && return 0
		kill -0 "$(cat "$KAFKA_DIR/pid")" 2>/dev/null || { tail -n 20 "$KAFKA_DIR/out.log" >&2; return 1; }
		sleep 0.2
	done
	echo "kafka not up in 60 s, see $KAFKA_DIR/server.log" >&2
	return 1
}

stop() {
	[ -e "$KAFKA_DIR/pid" ] || return 0
	local p
	p=$(cat "$KAFKA_DIR/pid")
	kill "-$1" "$p" 2>/dev/null || true
	for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done
	rm -f "$KAFKA_DIR/pid"
}

verb=${1:-start}
[ $# -eq 0 ] || shift
case $verb in
fetch) fetch ;;
start) start && echo "$BOOT" ;;
stop) stop TERM ;;
kill9) stop KILL ;;
topic) n=$1; shift; jvm org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOT" --create --topic "$n" "$@" ;;
cmd) jvm "$@" ;;
*) sed -n '3,10p' "$0"; exit 2 ;;
esac
