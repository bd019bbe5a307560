// SPDX-License-Identifier: Apache-2.0

// Node's http2 client: client.mjs http[s]://HOST:PORT [CA]; see ../README.md.
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { createInterface } from "node:readline";

const [base, ca] = process.argv.slice(2);
const open = () => connect(base, ca ? { ca: readFileSync(ca) } : {});

function ask(session, method, path, token) {
	return new Promise((resolve, reject) => {
		const stream = session.request({ ":method": method, ":path": path, authorization: `Bearer ${token}` });
		let status, text = "";
		stream.setEncoding("utf8");
		stream.on("response", (headers) => { status = headers[":status"]; });
		stream.on("data", (piece) => { text += piece; });
		stream.on("end", () => resolve(`${status} ${text.trim()}`));
		stream.on("error", reject);
		stream.end();
	});
}

let session = open();
for await (const line of createInterface({ input: process.stdin })) {
	const words = line.trim().split(/\s+/);
	if (words[0] === "new") {
		session.close();
		session = open();
		console.log("new");
	} else {
		console.log(await ask(session, ...words));
	}
}
session.close();
