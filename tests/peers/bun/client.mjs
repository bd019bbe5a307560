/* SPDX-License-Identifier: Apache-2.0 */
/* Bun's fetch, which speaks HTTP/1.1: client.mjs URL CA; see ../README.md. */
import readline from "node:readline";

const [base, ca] = process.argv.slice(2);
const tls = { ca: await Bun.file(ca).text() };

for await (const line of readline.createInterface({ input: process.stdin })) {
	const [method, path, token] = line.split(" ");
	const r = await fetch(base + path, { method, tls, headers: { Authorization: `Bearer ${token}` } });
	console.log(r.status, (await r.text()).trim());
}
process.exit(0);
