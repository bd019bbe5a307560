// SPDX-License-Identifier: Apache-2.0

// Node's http2 server: server.mjs PORT [CERT KEY]; see ../README.md.
import { readFileSync } from "node:fs";
import { createSecureServer, createServer } from "node:http2";

const [port, cert, key] = process.argv.slice(2);
const statuses = { "/denied": 403, "/gone": 404, "/empty": 204 };

function answer(stream, headers) {
	const status = statuses[headers[":path"]] ?? 200;

	stream.respond({ ":status": status, "content-type": "text/plain" }, { endStream: status === 204 });
	if (status !== 204)
		stream.end(`${stream.session.socket.remotePort}\n`);
}

const server = cert ? createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) }) : createServer();
server.on("stream", answer);
server.listen(Number(port), "127.0.0.1");
