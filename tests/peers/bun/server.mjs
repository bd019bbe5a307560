/* SPDX-License-Identifier: Apache-2.0 */
/* Bun.serve over TLS: server.mjs PORT CERTIFICATE KEY; see ../README.md. */
const [port, cert, key] = process.argv.slice(2);
const status = { "/denied": 403, "/gone": 404, "/empty": 204 };

Bun.serve({
	hostname: "127.0.0.1",
	port: Number(port),
	tls: { cert: Bun.file(cert), key: Bun.file(key) },
	fetch(request, server) {
		const code = status[new URL(request.url).pathname] ?? 200;
		return new Response(code === 204 ? null : `${server.requestIP(request).port}\n`, { status: code });
	},
});
