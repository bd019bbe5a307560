/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HPACK encoders of the tests are to encode: header lists as services send them, made from
 * a seed. One connection's requests are followed by a connection of the responses to them.
 *
 *   plan SEED BLOCKS >PLAN          at least so many; the same seed gives the same plan
 *
 * Format (little-endian): "TTHB1\n", then records, each of which begins with its letter:
 *
 *   R       a new connection in one direction: table limit and size are 4096 (RFC 7541, 4.2)
 *   T u32   the decoder's SETTINGS_HEADER_TABLE_SIZE from now on
 *   S u32   the encoder's choice of a table size, never above the limit; only in plans
 *   B u32 length, bytes (none in a plan), u16 fields, each: u8 flags (1 = never indexed),
 *     u32 length, name, u32 length, value
 *
 * The encoders (encode_*) are filters from a plan to the same with the blocks' bytes in it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 64
#define POOL 4
#define TEXT_MAX 8192

struct text {
	size_t len;
	char bytes[TEXT_MAX];
};

struct field {
	bool never;
	size_t name_len, value_len;
	char name[64];
	char value[TEXT_MAX];
};

/* What one connection says again and again. */
struct pool {
	struct text token[POOL], cookie[POOL], agent, host, path[POOL];
	char custom[POOL][24];
};

static uint64_t state;
static struct field fields[FIELDS_MAX];
static size_t fields_len;
static struct pool pool;
static long blocks_left;

/* splitmix64: small, the same everywhere */
static uint64_t draw(uint64_t below)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % below;
}

static bool percent(unsigned int p)
{
	return draw(100) < p;
}

#define PICK(list) ((list)[draw(sizeof(list) / sizeof((list)[0]))])

static void put_u32(uint32_t n)
{
	uint8_t b[4] = { n, n >> 8, n >> 16, n >> 24 };

	fwrite(b, 1, 4, stdout);
}

static void put_record(char letter, uint32_t n)
{
	putchar(letter);
	put_u32(n);
}

/* ---- texts ---- */

static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static void add_char(struct text *t, char c)
{
	if (t->len < sizeof(t->bytes))
		t->bytes[t->len++] = c;
}

static void add(struct text *t, const char *s)
{
	while (*s)
		add_char(t, *s++);
}

static void add_random(struct text *t, const char *from, size_t count)
{
	size_t kinds = strlen(from);

	while (count--)
		add_char(t, from[draw(kinds)]);
}

static void add_number(struct text *t, uint64_t n)
{
	char s[24];

	snprintf(s, sizeof(s), "%llu", (unsigned long long)n);
	add(t, s);
}

/* Every byte that a field value may have (RFC 9113, 8.2.1), blanks inside only. */
static void add_bytes(struct text *t, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t c = draw(256);

		while (c == 0 || c == '\r' || c == '\n' ||
		       ((i == 0 || i == count - 1) && (c == ' ' || c == '\t')))
			c = draw(256);
		add_char(t, (char)c);
	}
}

static size_t length(void)
{
	if (percent(1))
		return 1000 + draw(5000);
	return percent(10) ? draw(600) : 1 + draw(40);
}

static void add_base64(struct text *t, const uint8_t *p, size_t len)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t w = (uint32_t)p[i] << 16 | (i + 1 < len ? p[i + 1] << 8 : 0) |
			     (i + 2 < len ? p[i + 2] : 0);

		add_char(t, set[w >> 18]);
		add_char(t, set[w >> 12 & 63]);
		add_char(t, i + 1 < len ? set[w >> 6 & 63] : '=');
		add_char(t, i + 2 < len ? set[w & 63] : '=');
	}
}

/* A made-up token; prefixes of real classes are put together from parts. */
static void make_token(struct text *t)
{
	static const char *const prefix[] = { "ghp", "glpat", "xoxb", "eyJ", "sk", "npm", "" };
	static const char urlsafe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	t->len = 0;
	add(t, PICK(prefix));
	add_char(t, percent(50) ? '_' : '-');
	if (percent(20)) {	/* as long as a JSON web token */
		add_random(t, urlsafe, 100 + draw(900));
		add_char(t, '.');
	}
	add_random(t, percent(50) ? alnum : urlsafe, 8 + draw(60));
}

static void make_path(struct text *t)
{
	static const char *const word[] = { "v1", "api", "items", "users", "repos", "2024", "search",
					    "a.b.C", "Get", "health", "%41%20x", "x,y;z=1" };

	t->len = 0;
	for (size_t i = 0, n = draw(6); i < n; i++) {
		add_char(t, '/');
		if (percent(25))
			add_number(t, draw(100000));
		else if (percent(15))
			add_random(t, alnum, 20 + draw(30));
		else
			add(t, PICK(word));
	}
	if (!t->len || percent(5))
		add_char(t, '/');
	if (percent(1))
		add_random(t, "abc/def/0123", 1 + draw(2000));
}

/* ---- fields ---- */

static struct field *field(const char *name)
{
	struct field *f = &fields[fields_len < FIELDS_MAX - 1 ? fields_len++ : fields_len];

	f->never = percent(2);
	f->name_len = strlen(name) < sizeof(f->name) ? strlen(name) : sizeof(f->name);
	memcpy(f->name, name, f->name_len);
	f->value_len = 0;
	return f;
}

static void field_bytes(const char *name, const char *bytes, size_t len)
{
	struct field *f = field(name);

	memcpy(f->value, bytes, len);
	f->value_len = len;
}

static void field_text(const char *name, const struct text *t)
{
	field_bytes(name, t->bytes, t->len);
}

static void field_str(const char *name, const char *value)
{
	field_bytes(name, value, strlen(value));
}

static void field_number(const char *name, uint64_t n)
{
	struct text t = { 0 };

	add_number(&t, n);
	field_text(name, &t);
}

static void credential(void)
{
	static const char *const whole[] = { "x-api-key", "private-token", "x-goog-api-key", "api-key",
					     "x-vault-token", "x-auth-token", "x-amz-security-token" };
	static const char *const scheme[] = { "Bearer ", "Bearer ", "Bearer ", "Bearer ", "bearer ", "token ",
					      "Token \"", "Bearer Bearer ", "Bearer  ", "FooBar ", "" };
	const struct text *token = &pool.token[draw(POOL)];
	struct text t = { 0 };
	const char *s;

	if (percent(25)) {
		struct field *f;

		field_text(PICK(whole), token);
		f = &fields[fields_len - 1];
		f->never |= percent(10);
		return;
	}
	if (percent(15)) {
		struct text plain = { 0 };

		add(&plain, percent(80) ? "user" : "");
		add_char(&plain, ':');
		for (size_t i = 0; i < token->len; i++)
			add_char(&plain, token->bytes[i]);
		add(&t, percent(50) ? "Basic " : "basic ");
		add_base64(&t, (const uint8_t *)plain.bytes, plain.len > 900 ? 900 : plain.len);
	} else if (percent(3)) {
		add(&t, "Digest username=\"u\", response=\"");
		add_random(&t, "0123456789abcdef", 32);
		add_char(&t, '"');
	} else if (percent(3)) {
		add(&t, percent(50) ? "Bearer" : "");
	} else {
		s = PICK(scheme);
		add(&t, s);
		for (size_t i = 0; i < token->len; i++)
			add_char(&t, token->bytes[i]);
		if (strchr(s, '"'))
			add_char(&t, '"');
	}
	field_text(percent(90) ? "authorization" : "proxy-authorization", &t);
	fields[fields_len - 1].never |= percent(10);
}

static void common_field(void)
{
	static const char *const name[] = { "accept", "accept-encoding", "accept-language", "date",
					    "user-agent", "cache-control", "x-forwarded-for", "vary" };
	static const char *const value[] = { "*/*", "gzip, deflate", "en-US,en;q=0.5",
					     "Tue, 24 Nov 2026 02:20:39 GMT", "", "no-cache", "",
					     "accept-encoding" };
	size_t i = draw(8);

	if (i == 4)
		field_text("user-agent", &pool.agent);
	else
		field_str(name[i], value[i]);
}

static void odd_field(void)
{
	struct text t = { 0 };

	switch (draw(6)) {
	case 0:	/* new on each request */
		add_random(&t, "0123456789abcdef", 32);
		field_text("x-request-id", &t);
		break;
	case 1:
		add(&t, "00-");
		add_random(&t, "0123456789abcdef", 32);
		add(&t, "-01");
		field_text("traceparent", &t);
		break;
	case 2:
		field_text("cookie", &pool.cookie[draw(POOL)]);
		if (percent(50))
			field_text("cookie", &pool.cookie[draw(POOL)]);
		break;
	case 3:
		field_str(pool.custom[draw(POOL)], "");
		break;
	default:
		add_bytes(&t, length());
		field_text(pool.custom[draw(POOL)], &t);
	}
}

static void some_fields(size_t most)
{
	for (size_t i = 0, n = draw(most + 1); i < n; i++) {
		if (percent(65))
			common_field();
		else
			odd_field();
	}
}

static void shuffle(size_t from)
{
	for (size_t i = fields_len; i > from + 1; i--) {
		size_t k = from + draw(i - from);
		struct field f = fields[i - 1];

		fields[i - 1] = fields[k];
		fields[k] = f;
	}
}

/* ---- header sections ---- */

static void make_pool(void)
{
	static const char *const agent[] = { "curl/8.5.0", "Go-http-client/2.0", "grpc-go/1.64.0",
					     "python-httpx/0.27.0", "Mozilla/5.0 (X11; Linux x86_64)" };

	for (size_t i = 0; i < POOL; i++) {
		struct text name = { 0 };

		make_token(&pool.token[i]);
		make_path(&pool.path[i]);
		pool.cookie[i].len = 0;
		add(&pool.cookie[i], "sid=");
		add_random(&pool.cookie[i], alnum, length());
		add(&name, "x-");
		add_random(&name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~-", 1 + draw(20));
		memcpy(pool.custom[i], name.bytes, name.len);
		pool.custom[i][name.len] = 0;
	}
	pool.agent.len = 0;
	add(&pool.agent, PICK(agent));
	pool.host.len = 0;
	add(&pool.host, "svc");
	add_number(&pool.host, draw(1000));
	add(&pool.host, percent(70) ? ".example.com" : ".internal:8443");
}

static void request(void)
{
	static const char *const method[] = { "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE",
					      "PATCH", "OPTIONS", "HEAD", "PROPFIND" };
	struct text path = pool.path[draw(POOL)];
	size_t pseudo;

	fields_len = 0;
	if (percent(20))
		make_path(&path);
	if (percent(15)) {
		add(&path, percent(50) ? "?q=1&page=" : "?access_token=");
		for (size_t i = 0, k = draw(POOL); i < pool.token[k].len; i++)
			add_char(&path, pool.token[k].bytes[i]);
	}
	field_str(":method", PICK(method));
	field_str(":scheme", percent(70) ? "https" : "http");
	field_text(":authority", &pool.host);
	field_text(":path", &path);
	if (percent(30))
		shuffle(0);
	pseudo = fields_len;
	if (percent(30))
		field_str("content-type", percent(50) ? "application/json" : "application/grpc+proto");
	if (percent(10))
		field_str("te", "trailers");
	some_fields(4);
	if (percent(75))
		credential();
	if (percent(5))
		credential();
	some_fields(2);
	if (percent(5)) {
		field_str("mcp-method", "tools/call");
		field_str("mcp-name", "get_weather");
	}
	if (percent(15))
		shuffle(pseudo);
}

static void grpc_fields(void)
{
	field_number("grpc-status", percent(70) ? 0 : draw(18));
	if (percent(40))
		field_str("grpc-message", percent(50) ? "" : "not%20found");
}

static void response(unsigned int status, bool grpc)
{
	static const char *const type[] = { "application/json", "text/html; charset=utf-8",
					    "text/event-stream", "application/octet-stream" };

	fields_len = 0;
	field_number(":status", status);
	if (status < 200)
		return;
	field_str("content-type", grpc ? "application/grpc" : PICK(type));
	if (percent(60) && !grpc)
		field_number("content-length", draw(100000));
	if (percent(50))
		field_str("server", "nginx");
	if (percent(20))
		field_text("set-cookie", &pool.cookie[draw(POOL)]);
	some_fields(5);
}

static void put_block(void)
{
	put_record('B', 0);
	putchar((int)fields_len);
	putchar(0);
	for (size_t i = 0; i < fields_len; i++) {
		putchar(fields[i].never);
		put_u32((uint32_t)fields[i].name_len);
		fwrite(fields[i].name, 1, fields[i].name_len, stdout);
		put_u32((uint32_t)fields[i].value_len);
		fwrite(fields[i].value, 1, fields[i].value_len, stdout);
	}
	blocks_left--;
}

static uint32_t table_size(uint32_t most)
{
	static const uint32_t size[] = { 0, 64, 4096, 65536 };
	uint32_t n = percent(70) ? PICK(size) : (uint32_t)draw(5000);

	return n < most ? n : most;
}

/* The limit of the decoder and the encoder's choice, several of them between two blocks at times. */
static void maybe_resize(uint32_t *limit, unsigned int how_often)
{
	while (percent(how_often)) {
		if (percent(60)) {
			*limit = table_size(65536);
			put_record('T', *limit);
		}
		put_record('S', percent(60) ? *limit : table_size(*limit));
	}
}

static unsigned int a_status(void)
{
	static const unsigned int status[] = { 200, 200, 200, 200, 201, 204, 206, 301, 304, 400, 401, 403,
					       404, 429, 500, 503, 599 };

	return PICK(status);
}

/* Interim responses, the response, and trailers; a gRPC call that fails at once has its status in
 * the response. Trailers are what has no :status. */
static void answer(void)
{
	bool grpc = percent(25);

	while (percent(3)) {
		response(percent(50) ? 100 : 103, false);
		put_block();
	}
	response(grpc ? 200 : a_status(), grpc);
	if (grpc && percent(20)) {
		grpc_fields();
		put_block();
		return;
	}
	put_block();
	if (!grpc && !percent(5))
		return;
	fields_len = 0;
	if (grpc)
		grpc_fields();
	some_fields(2);
	if (!fields_len)
		field_str("x-checksum", "0");
	put_block();
}

/* One connection's requests, then the responses to them. */
static void connection(void)
{
	long streams = percent(60) ? 1 + (long)draw(20) : 1 + (long)draw(200);
	unsigned int how_often = percent(30) ? 10 : 1;
	uint32_t limit = 4096;

	make_pool();
	putchar('R');
	maybe_resize(&limit, 30);
	if (streams > (blocks_left + 1) / 2)
		streams = (blocks_left + 1) / 2;
	for (long i = 0; i < streams; i++) {
		maybe_resize(&limit, how_often);
		request();
		put_block();
	}
	putchar('R');
	limit = 4096;
	maybe_resize(&limit, 30);
	for (long i = 0; i < streams; i++) {
		maybe_resize(&limit, how_often);
		answer();
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: plan SEED BLOCKS >PLAN\n");
		return 2;
	}
	state = strtoull(argv[1], NULL, 10);
	blocks_left = strtol(argv[2], NULL, 10);
	fwrite("TTHB1\n", 1, 6, stdout);
	while (blocks_left > 0)
		connection();
	if (fflush(stdout) || ferror(stdout)) {
		perror("plan");
		return 1;
	}
	return 0;
}
