// SPDX-License-Identifier: Apache-2.0

// openid-client: a JWT by client credentials, an exchange of it, introspection, revocation: client.mjs ISSUER; see
// ../README.md. Secrets are a JSON object on standard input; what was got goes to standard output, as one.
import { readFileSync } from "node:fs";
import * as oidc from "openid-client";

const [issuer] = process.argv.slice(2);
const { mesh } = JSON.parse(readFileSync(0, "utf8"));
const config = await oidc.discovery(new URL(issuer), "mesh", {}, oidc.ClientSecretPost(mesh));
const use = async (token) =>
	(await oidc.fetchProtectedResource(config, token, new URL("/api/items", issuer), "GET")).status;

const jwt = await oidc.clientCredentialsGrant(config, { scope: "read write", resource: "urn:api:jwt" });
const uses = [await use(jwt.access_token)];
const exchanged = await oidc.genericGrantRequest(config, "urn:ietf:params:oauth:grant-type:token-exchange", {
	subject_token: jwt.access_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
	resource: "urn:api:opaque", scope: "read admin" });
uses.push(await use(exchanged.access_token));
const checked = await oidc.tokenIntrospection(config, exchanged.access_token);
await oidc.tokenRevocation(config, exchanged.access_token);
uses.push(await use(exchanged.access_token));
const dead = await oidc.tokenIntrospection(config, exchanged.access_token);
console.log(JSON.stringify({ jwt, exchanged, uses, active: [checked.active, dead.active] }));
