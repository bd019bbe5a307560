#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=dash disable=SC2317  # functions are called through await
# Runs inside the guest of vm-check.sh: the sensor, a TLS and a plain HTTP service, one request with
# a known token to each; says "ok" or "not ok" for each fact. Files are where vm-check.sh put them.
set -u

token=$(cat /t/token) want=$(cat /t/id)
bad=0
result() { # STATUS NAME WHY
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2: $3"
		bad=1
	fi
}
seen() { # DIRECTION LIBRARY
	grep "\"id\":\"$want\"" /tmp/out | grep "\"direction\":\"$1\"" | grep -c "\"library\":\"$2\""
}
await() { # SECONDS COMMAND...
	n=$(($1 * 5))
	shift
	while [ $n -gt 0 ] && ! "$@" >/dev/null 2>&1; do
		sleep 0.2
		n=$((n - 1))
	done
	"$@" >/dev/null 2>&1
}
all_seen() {
	[ "$(seen egress openssl)" -ge 1 ] && [ "$(seen ingress openssl)" -ge 1 ] &&
		[ "$(seen egress none)" -ge 1 ] && [ "$(seen ingress none)" -ge 1 ]
}

echo "root:x:0:0:root:/:/bin/sh" >/etc/passwd
echo "root:x:0:" >/etc/group
echo "127.0.0.1 localhost" >/etc/hosts
mkdir -p /tmp/nginx /www /var/log/nginx
echo hello >/www/items
uname -r

/usr/bin/tokentrail doctor >/tmp/doctor 2>&1
result $? "doctor finds all that is needed" "status $?"
sed 's/^/  | /' /tmp/doctor

/usr/bin/tokentrail run --output json --per-call --state-dir /tmp/state --key /t/fleet.key >/tmp/out 2>/tmp/err &
sensor=$!
ready_or_dead() {
	grep -q 'ready$' /tmp/err || ! kill -0 "$sensor"
}
await 200 ready_or_dead
grep -q 'ready$' /tmp/err
result $? "the sensor is ready" "its last words: $(tail -n 3 /tmp/err)"

got=$(echo "$token" | /usr/bin/tokentrail fingerprint --key /t/fleet.key)
[ "${got%% *}" = "$want" ]
result $? "fingerprint prints the same id as the host" "$got"

/usr/sbin/nginx -p /tmp/nginx -e /tmp/nginx/error.log -c /t/nginx.conf
httpd -p 127.0.0.1:8080 -h /www
await 20 curl -s -o /dev/null --cacert /t/ca.crt https://localhost:8443/
await 20 wget -q -O /dev/null http://127.0.0.1:8080/items
curl -s -o /dev/null --http1.1 --cacert /t/ca.crt -H "Authorization: Bearer $token" https://localhost:8443/tls
result $? "curl over TLS" "status $?"
wget -q -O /dev/null --header "PRIVATE-TOKEN: $token" http://127.0.0.1:8080/items
result $? "wget without TLS" "status $?"

await 20 all_seen
for d in egress ingress; do
	for l in openssl none; do
		n=$(seen $d $l)
		[ "$n" = 1 ]
		result $? "one $d use, TLS library $l" "$n uses"
	done
done

# Client and server take turns on one CPU: whatever two runs of a program share by mistake shows here.
i=0
while [ $i -lt 40 ]; do
	curl -s -o /dev/null --http1.1 --cacert /t/ca.crt -H "Authorization: Bearer $token" https://localhost:8443/again
	i=$((i + 1))
done
again() { # DIRECTION
	grep "\"id\":\"$want\"" /tmp/out | grep "\"direction\":\"$1\"" | grep '"path":"/again","status":200' |
		grep -c '"server":{"address":"localhost","port":8443}'
}
both_again() {
	[ "$(again egress)" -ge 40 ] && [ "$(again ingress)" -ge 40 ]
}
await 20 both_again
for d in egress ingress; do
	n=$(again $d)
	[ "$n" = 40 ]
	result $? "40 more TLS requests are 40 whole $d uses" "$n"
done

# Five requests on one HTTP/2 connection: after the first the token is an entry of the table.
curl -s -o /dev/null --http2 --cacert /t/ca.crt -H "Authorization: Bearer $token" "https://localhost:8444/h2/[1-5]"
h2() { # DIRECTION
	grep "\"id\":\"$want\"" /tmp/out | grep "\"direction\":\"$1\"" | grep -c '"path":"/h2/{...}","status":200'
}
both_h2() {
	[ "$(h2 egress)" -ge 5 ] && [ "$(h2 ingress)" -ge 5 ]
}
await 20 both_h2
for d in egress ingress; do
	n=$(h2 $d)
	[ "$n" = 5 ]
	result $? "5 HTTP/2 requests over TLS are 5 whole $d uses" "$n"
done

# A Go client and server, stripped: 20 requests on one HTTP/2 connection, by goroutines.
if [ -x /t/go ]; then
	/t/go server 8445 /t/ca.crt /t/server.key 2>/dev/null &
	server=$!
	tokens=$token
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
		tokens=$tokens,$token
	done
	go() { # DIRECTION PATH
		grep "\"id\":\"$want\"" /tmp/out | grep "\"direction\":\"$1\"" | grep '"library":"go"' |
			grep -c "\"path\":\"$2\",\"status\":200"
	}
	# A program's first calls may come before its probes.
	go_is_known() {
		echo "GET /before $token" | /t/go client 2 https://localhost:8445 /t/ca.crt
		[ "$(go egress /before)" -ge 1 ] && [ "$(go ingress /before)" -ge 1 ]
	}
	await 30 go_is_known
	echo "many /go $tokens" | /t/go client 2 https://localhost:8445 /t/ca.crt >/tmp/go
	both_go() {
		[ "$(go egress /go)" -ge 20 ] && [ "$(go ingress /go)" -ge 20 ]
	}
	await 20 both_go
	n=$(tr ' ' '\n' </tmp/go | grep -c '^200:')
	[ "$n" = 20 ]
	result $? "Go's client gets 20 answers" "$(head -c 300 /tmp/go)"
	for d in egress ingress; do
		n=$(go $d /go)
		[ "$n" = 20 ]
		result $? "20 requests of Go are 20 whole $d uses" "$n"
	done
	kill $server
fi

kill -TERM $sensor
wait $sensor
result $? "the sensor ends with status 0" "status $?"

# One program is left alone; nginx, which answers it, is not. The shell may look for "ready" before the new sensor's
# output has replaced the last one's.
rm /tmp/err
/usr/bin/tokentrail run --output json --per-call --state-dir /tmp/state --key /t/fleet.key \
	--set exclude.executables=/usr/bin/curl >/tmp/out 2>/tmp/err &
sensor=$!
await 200 ready_or_dead
# A program's first calls may come before it is decided about.
others_seen() {
	curl -s -o /dev/null --http1.1 --cacert /t/ca.crt -H "Authorization: Bearer $token" https://localhost:8443/left
	wget -q -O /dev/null --header "PRIVATE-TOKEN: $token" http://127.0.0.1:8080/items
	[ "$(seen ingress openssl)" -ge 1 ] && [ "$(seen egress none)" -ge 1 ]
}
await 20 others_seen
result $? "with exclude.executables the other programs are seen" "$(tail -n 3 /tmp/err)"
kill -TERM $sensor
wait $sensor
n=$(seen egress openssl)
[ "$n" = 0 ]
result $? "and nothing of the excluded one" "$n uses"

# The same programs, loaded by a test that looks at every field of every record.
HPACK_BLOCKS=/t/blocks /t/test_http2_blocks >/tmp/blocks 2>&1 && grep -q 'PASSED.* [1-9][0-9]* test' /tmp/blocks
result $? "10,000 HTTP/2 header blocks of three encoders" "$(grep -m1 -E 'ERROR|error' /tmp/blocks)"
if [ $bad != 0 ]; then
	echo "--- standard error:"
	cat /tmp/err
	echo "--- standard output:"
	cat /tmp/out
	tail -n 5 /tmp/nginx/error.log
fi
exit $bad
