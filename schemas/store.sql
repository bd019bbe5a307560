-- SPDX-License-Identifier: Apache-2.0
--
-- The embedded store of one node: which tokens were seen here, every distinct place of use, and how
-- much of the node's TLS was seen.
-- No column holds a token: `token` is the keyed id (tt1_...), from which no token can be had back.
--
-- For people and scripts: read the views `tokens`, `uses`, `mints`, `coverage` and `losses`, with any SQLite tool, while
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
-- schema: the number below, for people; node: name of the node whose store this is; idle: seconds
-- without a use after which a token is idle (inventory.idle_after).
INSERT INTO meta VALUES ('schema', '5');

-- One row per token. The sums are those of its rows in `use` and `call`, kept here so that a list of
-- tokens needs no pass over all uses.
CREATE TABLE token (
	token TEXT PRIMARY KEY NOT NULL,
	key_id TEXT NOT NULL,		-- of the fleet key that made the id
	class TEXT NOT NULL,
	kind TEXT NOT NULL,
	length INTEGER NOT NULL,	-- of the credential, bytes
	first INTEGER NOT NULL,		-- 0, as last: minted or listed, and no use was seen
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
	status TEXT NOT NULL,		-- covered, partial, blind, idle, excluded, unknown
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
	placed INTEGER NOT NULL DEFAULT 0,	-- functions probed where it costs less than at their first byte
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

-- [upgrade from 3] Likewise.

-- What is known of a token beyond its uses: src/tokens/facts.def. Lists have a line feed between their
-- elements. Of a token that was minted or listed and never used there is a row here and one with no
-- uses in `token`.
CREATE TABLE fact (
	token TEXT PRIMARY KEY NOT NULL,
	token_confidence TEXT NOT NULL DEFAULT '',
	token_checksum TEXT NOT NULL DEFAULT '',
	token_public_id TEXT NOT NULL DEFAULT '',
	token_account TEXT NOT NULL DEFAULT '',
	token_issuer TEXT NOT NULL DEFAULT '',
	token_subject TEXT NOT NULL DEFAULT '',
	token_subject_kind TEXT NOT NULL DEFAULT '',
	token_client_id TEXT NOT NULL DEFAULT '',
	token_actor TEXT NOT NULL DEFAULT '',
	token_tenant TEXT NOT NULL DEFAULT '',
	token_audience TEXT NOT NULL DEFAULT '',
	token_scopes TEXT NOT NULL DEFAULT '',
	token_needed_scopes TEXT NOT NULL DEFAULT '',
	token_roles TEXT NOT NULL DEFAULT '',
	token_groups TEXT NOT NULL DEFAULT '',
	token_issued INTEGER NOT NULL DEFAULT 0,
	token_not_before INTEGER NOT NULL DEFAULT 0,
	token_expires INTEGER NOT NULL DEFAULT 0,
	token_expiry_rule TEXT NOT NULL DEFAULT '',
	token_jwt_id TEXT NOT NULL DEFAULT '',
	token_session_id TEXT NOT NULL DEFAULT '',
	token_lineage TEXT NOT NULL DEFAULT '',
	token_signed_id TEXT NOT NULL DEFAULT '',
	token_bound TEXT NOT NULL DEFAULT '',
	token_notes TEXT NOT NULL DEFAULT '',
	token_claims TEXT NOT NULL DEFAULT '',
	jwt_alg TEXT NOT NULL DEFAULT '',
	jwt_kid TEXT NOT NULL DEFAULT '',
	jwt_type TEXT NOT NULL DEFAULT '',
	k8s_namespace TEXT NOT NULL DEFAULT '',
	k8s_service_account TEXT NOT NULL DEFAULT '',
	k8s_pod TEXT NOT NULL DEFAULT '',
	k8s_node TEXT NOT NULL DEFAULT '',
	minted_time INTEGER NOT NULL DEFAULT 0,
	minted_issuer TEXT NOT NULL DEFAULT '',
	minted_method TEXT NOT NULL DEFAULT '',
	minted_grant TEXT NOT NULL DEFAULT '',
	minted_executable TEXT NOT NULL DEFAULT '',
	minted_container TEXT NOT NULL DEFAULT '',
	minted_parent TEXT NOT NULL DEFAULT '',
	minted_previous TEXT NOT NULL DEFAULT '',
	revoked_time INTEGER NOT NULL DEFAULT 0,
	revoked_method TEXT NOT NULL DEFAULT '',
	owner_name TEXT NOT NULL DEFAULT '',
	owner_kind TEXT NOT NULL DEFAULT '',
	owner_confidence TEXT NOT NULL DEFAULT '',
	owner_evidence TEXT NOT NULL DEFAULT '',
	privilege_score INTEGER NOT NULL DEFAULT 0,
	privilege_terms TEXT NOT NULL DEFAULT '',
	privilege_used TEXT NOT NULL DEFAULT '',
	privilege_unused TEXT NOT NULL DEFAULT '',
	listed_name TEXT NOT NULL DEFAULT '',
	listed_owner TEXT NOT NULL DEFAULT '',
	listed_source TEXT NOT NULL DEFAULT '',
	listed_time INTEGER NOT NULL DEFAULT 0,
	token_answers TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- The same secret is another token when its bytes differ; these lead from one to the other.
CREATE INDEX fact_lineage ON fact (token_lineage) WHERE token_lineage <> '';
CREATE INDEX fact_signed ON fact (token_signed_id) WHERE token_signed_id <> '';
CREATE INDEX fact_expires ON fact (token_expires) WHERE token_expires > 0;

-- Requests of each token a day, and of all tokens an hour. Days and hours are numbers since 1970, UTC.
CREATE TABLE use_day (
	token TEXT NOT NULL,
	day INTEGER NOT NULL,
	uses INTEGER NOT NULL,
	PRIMARY KEY (token, day)
) WITHOUT ROWID;
CREATE TABLE hour (
	hour INTEGER PRIMARY KEY NOT NULL,
	uses INTEGER NOT NULL,
	mints INTEGER NOT NULL,
	failed_mints INTEGER NOT NULL
) WITHOUT ROWID;

-- Requests that mint, revoke or check a token (src/tokens/mints.tsv), one row each; `use` and `call` count
-- the credentials that such a request carries, too. The oldest rows go when there are too many.
CREATE TABLE mint (
	number INTEGER PRIMARY KEY NOT NULL,	-- in order of their coming
	time INTEGER NOT NULL,
	action TEXT NOT NULL,		-- mint | revoke | check
	method TEXT NOT NULL,		-- row of tokens/mints.tsv
	issuer TEXT NOT NULL,		-- host and path of the endpoint
	mint_grant TEXT NOT NULL,	-- grant_type, Action, ...
	status INTEGER NOT NULL,
	direction TEXT NOT NULL,
	process TEXT NOT NULL,
	executable TEXT NOT NULL,
	user INTEGER NOT NULL,
	container TEXT NOT NULL,
	pid INTEGER NOT NULL,
	http_method TEXT NOT NULL,
	path TEXT NOT NULL,
	server_address TEXT NOT NULL,
	server_port INTEGER NOT NULL,
	peer_ip TEXT NOT NULL,
	peer_port INTEGER NOT NULL,
	client_ip TEXT NOT NULL,
	tls INTEGER NOT NULL,
	http_version INTEGER NOT NULL,
	client_id TEXT NOT NULL,
	subject TEXT NOT NULL,
	audience TEXT NOT NULL,		-- requested
	requested_scopes TEXT NOT NULL,
	scopes TEXT NOT NULL,		-- granted
	expires INTEGER NOT NULL,	-- of what was minted
	note TEXT NOT NULL		-- why no token is known: compressed, too_long, ...
);
CREATE INDEX mint_time ON mint (time);

-- The tokens of such a request.
CREATE TABLE mint_token (
	number INTEGER NOT NULL,
	token TEXT NOT NULL,
	part TEXT NOT NULL,		-- minted | parent | revoked | checked
	role TEXT NOT NULL,		-- access, refresh, id, session; of a parent where it stood: authorization, body:client_secret
	PRIMARY KEY (number, token, part, role)
) WITHOUT ROWID;
CREATE INDEX mint_token_token ON mint_token (token);

-- Mints by who asked where, in buckets of five minutes: what rates are told from. Sent requests only, in `hour` too:
-- an issuer on this node is not who mints. Kept when rows of `mint` go.
CREATE TABLE mint_rate (
	issuer TEXT NOT NULL,
	executable TEXT NOT NULL,
	user INTEGER NOT NULL,
	container TEXT NOT NULL,
	bucket INTEGER NOT NULL,	-- number of the five minutes since 1970, UTC
	mints INTEGER NOT NULL,
	failed INTEGER NOT NULL,
	PRIMARY KEY (issuer, executable, user, container, bucket)
) WITHOUT ROWID;

-- What runs where: the workload behind an executable, its user and its container.
CREATE TABLE workload (
	executable TEXT NOT NULL,
	user INTEGER NOT NULL,
	container TEXT NOT NULL,
	kind TEXT NOT NULL,		-- Deployment, Pod, container, unit, executable, ...
	name TEXT NOT NULL,
	namespace TEXT NOT NULL,
	pod TEXT NOT NULL,
	service_account TEXT NOT NULL,
	unit TEXT NOT NULL,		-- of systemd
	evidence TEXT NOT NULL,		-- a line each
	last INTEGER NOT NULL,
	PRIMARY KEY (executable, user, container)
) WITHOUT ROWID;

-- Lists of known tokens (`tokentrail import`). Public identifiers are joined with fact.token_public_id.
CREATE TABLE listed (
	id TEXT PRIMARY KEY NOT NULL,	-- token.id, or a public identifier
	is_public INTEGER NOT NULL,	-- it is the latter
	name TEXT NOT NULL,
	owner TEXT NOT NULL,
	source TEXT NOT NULL,
	class TEXT NOT NULL,
	kind TEXT NOT NULL,
	scopes TEXT NOT NULL,
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	time INTEGER NOT NULL		-- of the import
) WITHOUT ROWID;

CREATE VIEW mints AS
SELECT number,
	strftime('%Y-%m-%dT%H:%M:%S', time / 1000000000, 'unixepoch')
		|| printf('.%09dZ', time % 1000000000) AS time,
	action, method, issuer,
	nullif(mint_grant, '') AS mint_grant,
	nullif(status, 0) AS status,
	direction,
	nullif(process, '') AS process,
	nullif(executable, '') AS executable,
	nullif(user, -1) AS user_id,
	nullif(container, '') AS container_id,
	nullif(pid, 0) AS pid,
	nullif(client_id, '') AS client_id,
	nullif(subject, '') AS subject,
	nullif(requested_scopes, '') AS requested_scopes,
	nullif(scopes, '') AS scopes,
	CASE WHEN expires > 0 THEN strftime('%Y-%m-%dT%H:%M:%SZ', expires / 1000000000, 'unixepoch') END
		AS expires,
	(SELECT group_concat(token, ' ') FROM mint_token t WHERE t.number = m.number AND part = 'minted')
		AS minted,
	(SELECT group_concat(token, ' ') FROM mint_token t WHERE t.number = m.number AND part = 'parent')
		AS parents,
	nullif(note, '') AS note
FROM mint m;

CREATE VIEW tokens AS
SELECT t.token,
	nullif(class, '') AS class,
	nullif(kind, '') AS kind,
	nullif(length, 0) AS length,
	nullif(key_id, '') AS key_id,
	uses, egress, ingress,
	CASE WHEN first > 0 THEN strftime('%Y-%m-%dT%H:%M:%S', first / 1000000000, 'unixepoch')
		|| printf('.%09dZ', first % 1000000000) END AS first,
	CASE WHEN last > 0 THEN strftime('%Y-%m-%dT%H:%M:%S', last / 1000000000, 'unixepoch')
		|| printf('.%09dZ', last % 1000000000) END AS last,
	readable,			-- 0: not a known token; see the table
	nullif(entry, 0) AS entry,
	nullif(f.token_issuer, '') AS issuer,
	nullif(f.token_subject, '') AS subject,
	nullif(f.token_scopes, '') AS scopes,
	CASE WHEN f.token_expires > 0 THEN
		strftime('%Y-%m-%dT%H:%M:%SZ', f.token_expires / 1000000000, 'unixepoch') END AS expires,
	CASE WHEN f.minted_time > 0 THEN
		strftime('%Y-%m-%dT%H:%M:%SZ', f.minted_time / 1000000000, 'unixepoch') END AS minted,
	CASE WHEN f.revoked_time > 0 THEN
		strftime('%Y-%m-%dT%H:%M:%SZ', f.revoked_time / 1000000000, 'unixepoch') END AS revoked,
	nullif(f.owner_name, '') AS owner,
	nullif(f.owner_confidence, '') AS owner_confidence,
	nullif(f.privilege_score, 0) AS privilege,
	CASE	-- as src/tokens/state.c
		WHEN t.readable = 0 THEN NULL
		WHEN f.revoked_time > 0 AND f.revoked_time / 1000000000 <= unix.now THEN 'revoked'
		WHEN f.token_expires > 0 AND f.token_expires / 1000000000 <= unix.now THEN 'expired'
		WHEN last > 0 AND unix.idle > 0 AND unix.now - last / 1000000000 > unix.idle THEN 'idle'
		WHEN last > 0 THEN 'used'
		WHEN f.minted_time > 0 THEN 'minted'
	END AS state
FROM (SELECT CAST(strftime('%s', 'now') AS INTEGER) AS now,
	coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'idle'), 0) AS idle) unix,
	token t LEFT JOIN fact f ON f.token = t.token
WHERE t.class IS NOT 'placeholder';	-- what somebody forgot to fill in is no token

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

-- [upgrade from 4] Likewise, but for columns.
PRAGMA user_version = 5;
