-- SPDX-License-Identifier: Apache-2.0
--
-- The embedded store of one node: which tokens were seen here, every distinct place of use, and how
-- much of the node's TLS was seen.
-- No column holds a token: `token` is the keyed id (tt1_...), from which no token can be had back.
--
-- For people and scripts: read the views `tokens`, `uses`, `coverage` and `losses`, with any SQLite tool, while
-- the agent writes:   sqlite3 -readonly /var/lib/tokentrail/store.db 'SELECT * FROM uses LIMIT 20'
-- Views only gain columns within a schema version. The tables are tokentrail's own and may change
-- with `PRAGMA user_version`; an agent refuses a store whose version is newer than its own, and
-- brings an older one up to date in place (src/sinks/store_schema.c).
--
-- Times are nanoseconds since 1970 (UTC). Unknown is '' or 0 in the tables (a key column must not
-- be NULL) and NULL in the views. user and grpc_status are -1 when unknown: 0 is root, and OK.

CREATE TABLE meta (
	name TEXT PRIMARY KEY NOT NULL,
	value TEXT NOT NULL
) WITHOUT ROWID;
-- schema: the number below, for people; node: name of the node whose store this is.
INSERT INTO meta VALUES ('schema', '3');

-- One row per token. The sums are those of its rows in `use` and `call`, kept here so that a list of
-- tokens needs no pass over all uses.
CREATE TABLE token (
	token TEXT PRIMARY KEY NOT NULL,
	key_id TEXT NOT NULL,		-- of the fleet key that made the id
	class TEXT NOT NULL,
	kind TEXT NOT NULL,
	length INTEGER NOT NULL,	-- of the credential, bytes
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	uses INTEGER NOT NULL,
	egress INTEGER NOT NULL,
	ingress INTEGER NOT NULL,
	-- 0: no token, but entry number `entry` of an HTTP/2 table from before the sensor looked; a
	-- field that was sent by reference to it. Nobody can know what it holds.
	readable INTEGER NOT NULL DEFAULT 1,
	entry INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX token_last ON token (last);

-- One row per distinct use of plain HTTP: the same token, by the same program of the same user and
-- container, in the same direction, carried the same way, to the same route and place, with the
-- same outcome.
-- What differs from call to call or from start to start of a program is no part of the key and is
-- kept from the last use only: the process id, the client's address and port, the HTTP version. Of
-- an incoming request the peer is the client, so its port is not kept at all.
CREATE TABLE use (
	token TEXT NOT NULL,
	direction TEXT NOT NULL,	-- egress | ingress
	process TEXT NOT NULL,
	executable TEXT NOT NULL,
	user INTEGER NOT NULL,
	container TEXT NOT NULL,
	carrier TEXT NOT NULL,		-- authorization, x-api-key, query:access_token, ...
	scheme TEXT NOT NULL,		-- bearer, basic, ...
	method TEXT NOT NULL,
	path TEXT NOT NULL,		-- without query, secrets and identities as {...}
	status INTEGER NOT NULL,
	server_address TEXT NOT NULL,
	server_port INTEGER NOT NULL,
	peer_ip TEXT NOT NULL,
	peer_port INTEGER NOT NULL,
	tls INTEGER NOT NULL,		-- number in tls.def; 0 none
	count INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	pid INTEGER NOT NULL,
	client_ip TEXT NOT NULL,
	http_version INTEGER NOT NULL,	-- 10, 11, 20
	PRIMARY KEY (token, direction, process, executable, user, container, carrier, scheme,
		method, path, status, server_address, server_port, peer_ip, peer_port, tls)
) WITHOUT ROWID;
-- No index on `last`: it would repeat the whole key in every entry, and every use would move one.

-- What was seen and not reported, by reason (include/tokentrail/drops.def), since the store began.
CREATE TABLE loss (
	reason TEXT PRIMARY KEY NOT NULL,
	count INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL
) WITHOUT ROWID;

CREATE VIEW losses AS
SELECT reason, count,
	strftime('%Y-%m-%dT%H:%M:%S', first / 1000000000, 'unixepoch')
		|| printf('.%09dZ', first % 1000000000) AS first,
	strftime('%Y-%m-%dT%H:%M:%S', last / 1000000000, 'unixepoch')
		|| printf('.%09dZ', last % 1000000000) AS last
FROM loss;

-- [upgrade from 1] An older store gets what follows from here on; the rest it has.

-- Uses of which more is known than HTTP tells: gRPC calls and MCP requests. As `use`, with what
-- they have more in the key.
CREATE TABLE call (
	token TEXT NOT NULL,
	direction TEXT NOT NULL,
	process TEXT NOT NULL,
	executable TEXT NOT NULL,
	user INTEGER NOT NULL,
	container TEXT NOT NULL,
	carrier TEXT NOT NULL,
	scheme TEXT NOT NULL,
	method TEXT NOT NULL,
	path TEXT NOT NULL,
	status INTEGER NOT NULL,
	server_address TEXT NOT NULL,
	server_port INTEGER NOT NULL,
	peer_ip TEXT NOT NULL,
	peer_port INTEGER NOT NULL,
	tls INTEGER NOT NULL,
	grpc_status INTEGER NOT NULL,	-- 0..16; 255: a number that gRPC does not define
	mcp_method TEXT NOT NULL,	-- tools/call, ...
	mcp_name TEXT NOT NULL,		-- of the tool, resource or prompt
	count INTEGER NOT NULL,
	first INTEGER NOT NULL,
	last INTEGER NOT NULL,
	pid INTEGER NOT NULL,
	client_ip TEXT NOT NULL,
	http_version INTEGER NOT NULL,
	PRIMARY KEY (token, direction, process, executable, user, container, carrier, scheme,
		method, path, status, server_address, server_port, peer_ip, peer_port, tls,
		grpc_status, mcp_method, mcp_name)
) WITHOUT ROWID;

-- Both kinds as one table, for `uses` below and for tokentrail's own queries. With equal types on both
-- sides SQLite searches each by its key; without, it walks through both for every row.
CREATE VIEW every_use AS
SELECT token, direction, process, executable, user, container, carrier, scheme, method, path,
	status, server_address, server_port, peer_ip, peer_port, tls, count, first, last, pid,
	client_ip, http_version, CAST(-1 AS INTEGER) AS grpc_status,
	CAST('' AS TEXT) AS mcp_method, CAST('' AS TEXT) AS mcp_name
FROM use
UNION ALL
SELECT token, direction, process, executable, user, container, carrier, scheme, method, path,
	status, server_address, server_port, peer_ip, peer_port, tls, count, first, last, pid,
	client_ip, http_version, grpc_status, mcp_method, mcp_name
FROM call;

-- [upgrade from 2] Likewise.

-- A process that talks TLS or could, with what its last `coverage` record said: schemas/README.md.
-- Processes without news for the longest time are deleted, so that these rows take a small part of
-- the store. Texts are those of the record.
CREATE TABLE cover (
	pid INTEGER NOT NULL,
	start INTEGER NOT NULL,		-- of the process, nanoseconds since boot; with pid: one process
	started INTEGER NOT NULL,	-- the same as a time
	process TEXT NOT NULL,
	executable TEXT NOT NULL,
	user INTEGER NOT NULL,
	container TEXT NOT NULL,
	workload_kind TEXT NOT NULL,
	workload TEXT NOT NULL,
	client INTEGER NOT NULL,
	server INTEGER NOT NULL,
	middle INTEGER NOT NULL,
	io_uring INTEGER NOT NULL,
	ended INTEGER NOT NULL,
	sockets INTEGER NOT NULL,
	blind_sockets INTEGER NOT NULL,
	wire_sent INTEGER NOT NULL,
	wire_received INTEGER NOT NULL,
	covered_sent INTEGER NOT NULL,
	covered_received INTEGER NOT NULL,
	plain_sent INTEGER NOT NULL,
	plain_received INTEGER NOT NULL,
	first_tls INTEGER NOT NULL,
	first_call INTEGER NOT NULL,
	exec_to_call INTEGER NOT NULL,	-- nanoseconds
	status TEXT NOT NULL,		-- covered, partial, blind, idle, unknown
	reason TEXT NOT NULL,		-- name in blind.def
	last INTEGER NOT NULL,
	PRIMARY KEY (pid, start)
) WITHOUT ROWID;
CREATE INDEX cover_last ON cover (last);

-- The libraries in its files.
CREATE TABLE cover_library (
	pid INTEGER NOT NULL,
	start INTEGER NOT NULL,
	position INTEGER NOT NULL,
	library TEXT NOT NULL,
	version TEXT NOT NULL,
	path TEXT NOT NULL,
	how TEXT NOT NULL,
	since INTEGER NOT NULL,
	probes INTEGER NOT NULL,
	refused INTEGER NOT NULL,
	reason TEXT NOT NULL,
	used INTEGER NOT NULL,
	PRIMARY KEY (pid, start, position)
) WITHOUT ROWID;

CREATE VIEW coverage AS
SELECT pid,
	nullif(process, '') AS process,
	nullif(executable, '') AS executable,
	nullif(user, -1) AS user_id,
	nullif(container, '') AS container_id,
	nullif(workload_kind, '') AS workload_kind,
	nullif(workload, '') AS workload,
	(SELECT group_concat(trim(library || ' ' || version), ', ') FROM cover_library l
		WHERE l.pid = c.pid AND l.start = c.start) AS tls_libraries,
	status,
	nullif(reason, '') AS reason,
	CASE WHEN wire_sent + wire_received > 0 THEN min(1.0,
		1.0 * (covered_sent + covered_received) / (wire_sent + wire_received)) END AS share,
	wire_sent, wire_received, covered_sent, covered_received, plain_sent, plain_received,
	sockets, blind_sockets, client, server, io_uring, ended,
	CASE WHEN exec_to_call > 0 THEN exec_to_call / 1000000.0 END AS exec_to_first_call_ms,
	strftime('%Y-%m-%dT%H:%M:%S', started / 1000000000, 'unixepoch')
		|| printf('.%09dZ', started % 1000000000) AS started,
	strftime('%Y-%m-%dT%H:%M:%S', last / 1000000000, 'unixepoch')
		|| printf('.%09dZ', last % 1000000000) AS last
FROM cover c;

CREATE VIEW tokens AS
SELECT token,
	nullif(class, '') AS class,
	nullif(kind, '') AS kind,
	nullif(length, 0) AS length,
	nullif(key_id, '') AS key_id,
	uses, egress, ingress,
	strftime('%Y-%m-%dT%H:%M:%S', first / 1000000000, 'unixepoch')
		|| printf('.%09dZ', first % 1000000000) AS first,
	strftime('%Y-%m-%dT%H:%M:%S', last / 1000000000, 'unixepoch')
		|| printf('.%09dZ', last % 1000000000) AS last,
	readable,			-- 0: not a known token; see the table
	nullif(entry, 0) AS entry
FROM token;

CREATE VIEW uses AS
SELECT u.token,
	nullif(t.class, '') AS class,
	u.direction, u.count,
	strftime('%Y-%m-%dT%H:%M:%S', u.first / 1000000000, 'unixepoch')
		|| printf('.%09dZ', u.first % 1000000000) AS first,
	strftime('%Y-%m-%dT%H:%M:%S', u.last / 1000000000, 'unixepoch')
		|| printf('.%09dZ', u.last % 1000000000) AS last,
	nullif(u.process, '') AS process,
	nullif(u.pid, 0) AS last_pid,
	nullif(u.executable, '') AS executable,
	nullif(u.user, -1) AS user_id,
	nullif(u.container, '') AS container_id,
	nullif(u.carrier, '') AS carrier,
	nullif(u.scheme, '') AS scheme,
	nullif(u.method, '') AS method,
	nullif(u.path, '') AS path,
	nullif(u.status, 0) AS status,
	nullif(u.server_address, '') AS server_address,
	nullif(u.server_port, 0) AS server_port,
	nullif(u.peer_ip, '') AS peer_ip,
	nullif(u.peer_port, 0) AS peer_port,
	nullif(u.client_ip, '') AS last_client_ip,
	CASE u.http_version WHEN 10 THEN '1.0' WHEN 11 THEN '1.1' WHEN 20 THEN '2' END
		AS http_version,
	CASE u.tls WHEN 0 THEN 'none' WHEN 1 THEN 'openssl' WHEN 2 THEN 'gnutls' WHEN 3 THEN 'wolfssl'
		WHEN 4 THEN 'mbedtls' WHEN 5 THEN 's2n' WHEN 6 THEN 'libressl'
		WHEN 7 THEN 'boringssl' WHEN 8 THEN 'go' WHEN 9 THEN 'rustls' WHEN 10 THEN 'nss' WHEN 11 THEN 'jsse' END AS tls_library,
	nullif(u.grpc_status, -1) AS grpc_status,
	nullif(u.mcp_method, '') AS mcp_method,
	nullif(u.mcp_name, '') AS mcp_name,
	t.readable,
	nullif(t.entry, 0) AS entry
FROM every_use u LEFT JOIN token t ON t.token = u.token;

PRAGMA user_version = 3;
