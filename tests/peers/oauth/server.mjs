// SPDX-License-Identifier: Apache-2.0

// An OpenID provider and the API that takes its tokens, behind TLS: server.mjs PORT CERT KEY ISSUER; see ../README.md.
// The clients' secrets are a JSON object, {"cart": SECRET, ...}, on standard input.
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createLocalJWKSet, jwtVerify } from "jose";
import { errors, Provider } from "oidc-provider";

const [port, cert, key, issuer] = process.argv.slice(2);
const secrets = JSON.parse(readFileSync(0, "utf8"));
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const JWT_API = "urn:api:jwt", OPAQUE_API = "urn:api:opaque";
const SCOPES = "read write admin";

const keys = { keys: [{ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
	alg: "RS256", use: "sig", kid: "one" }] };
const machine = { redirect_uris: [], response_types: [], scope: SCOPES };
const person = { redirect_uris: ["https://app.test/back"], scope: `openid offline_access ${SCOPES}`,
	grant_types: ["authorization_code", "refresh_token"] };
const client = (client_id, token_endpoint_auth_method, more) =>
	({ client_id, client_secret: secrets[client_id], token_endpoint_auth_method, ...more });

const provider = new Provider(issuer, {
	clients: [
		client("cart", "client_secret_basic", { ...machine, grant_types: ["client_credentials"] }),
		client("mesh", "client_secret_post", { ...machine, grant_types: ["client_credentials", EXCHANGE] }),
		client("web", "client_secret_basic", person),
		client("desk", "client_secret_post", person),
	],
	jwks: { keys: keys.keys },
	scopes: ["openid", "offline_access", ...SCOPES.split(" ")],
	cookies: { keys: [secrets.web] },
	// Lives differ, so that a wrong expiry shows.
	ttl: { ClientCredentials: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 700, AccessToken: 1100,
		RefreshToken: 86400, IdToken: 500, Session: 3600, Grant: 90000, Interaction: 3600 },
	rotateRefreshToken: true,
	findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
	interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
	features: {
		devInteractions: { enabled: false },
		clientCredentials: { enabled: true },
		introspection: { enabled: true, allowedPolicy: () => true },
		revocation: { enabled: true, allowedPolicy: () => true },
		resourceIndicators: {
			enabled: true,
			defaultResource: () => OPAQUE_API,
			useGrantedResource: () => true,
			getResourceServerInfo: (ctx, resource) => ({
				scope: SCOPES, audience: resource, accessTokenFormat: resource === JWT_API ? "jwt" : "opaque",
				...(resource === JWT_API ? { jwt: { sign: { alg: "RS256" } }, accessTokenTTL: 900 } : {}),
			}),
		},
	},
});
provider.proxy = true;

// Of a token that this provider made: what it allows, or undefined.
async function valid(token) {
	const found = await provider.AccessToken.find(token) || await provider.ClientCredentials.find(token);
	if (found)
		return { sub: found.accountId ?? found.clientId, scope: found.scope };
	const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: keys.keys.map(({ kty, n, e, kid, alg }) =>
		({ kty, n, e, kid, alg })) }), { issuer }).catch(() => ({}));
	return payload;
}

// RFC 8693, which the provider leaves to its users: a narrower token for another audience.
provider.registerGrantType(EXCHANGE, async (ctx) => {
	const { client: actor, params, provider: p } = ctx.oidc;
	const subject = await valid(params.subject_token);
	if (!subject || params.subject_token_type !== ACCESS_TOKEN)
		throw new errors.InvalidGrant("subject token is invalid");
	const had = (subject.scope ?? "").split(" ");
	const token = new p.ClientCredentials({ client: actor,
		scope: params.scope.split(" ").filter((s) => had.includes(s)).join(" ") });
	token.resourceServer = new p.ResourceServer(params.resource, { scope: SCOPES, audience: params.resource,
		accessTokenFormat: "opaque", accessTokenTTL: 300 });
	ctx.body = { access_token: await token.save(), issued_token_type: ACCESS_TOKEN, token_type: "Bearer",
		expires_in: token.expiration, scope: token.scope };
}, ["subject_token", "subject_token_type", "resource", "scope"]);

// The person says yes to everything.
async function interaction(req, res) {
	const { prompt, params, session } = await provider.interactionDetails(req, res);
	if (prompt.name === "login")
		return provider.interactionFinished(req, res, { login: { accountId: "someone" } });
	const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
	grant.addOIDCScope(params.scope);
	grant.addResourceScope(OPAQUE_API, params.scope);
	return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
}

async function api(req, res) {
	const ok = await valid((req.headers.authorization ?? "").replace(/^Bearer /, ""));
	res.writeHead(ok ? 200 : 401, { "content-type": "application/json" }).end(JSON.stringify({ ok: !!ok }));
}

const oidc = provider.callback();
createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (req, res) => {
	const handler = req.url.startsWith("/interaction/") ? interaction : req.url.startsWith("/api/") ? api : oidc;
	Promise.resolve(handler(req, res)).catch((e) => {
		console.error(e);
		res.writeHead(500).end();
	});
}).listen(Number(port), "127.0.0.1");
