/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tokentrail fingerprint`: the ids of tokens that the user has, for `trace`. Tokens come on
 * standard input only (arguments are visible to every process and in the shell's history), are
 * hashed by the code that the kernel runs, and are wiped.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/fleet.h"
#include "readers/siphash.h"
#include "tokens/class.h"

#define NAME "fingerprint"
#define TOKEN_MAX 65535

static void print_help(void)
{
	puts("Usage: tokentrail fingerprint [--key FILE] [--config FILE] [--json] <TOKENS\n"
	     "\n"
	     "Reads one token a line from standard input, never from an argument, and prints the "
	     "id\n"
	     "it has in tokentrail's records. Blanks around it and one pair of quotes are "
	     "dropped,\n"
	     "empty lines are skipped. Give the bare token: without 'Bearer', for Basic the "
	     "password.\n"
	     "\n"
	     "  --key FILE     the fleet key (default: key.file of the configuration,\n"
	     "                 /etc/tokentrail/fleet.key); another key gives other ids\n"
	     "  --config FILE  another configuration file\n"
	     "  --json         one JSON object a line: id, class, kind, length, key_id; of a JWT\n"
	     "                 also signed_id, by which trace finds all texts that verify alike\n"
	     "\n"
	     "Examples:\n"
	     "  sudo tokentrail fingerprint            then type or paste; what you type is not "
	     "shown\n"
	     "  sudo tokentrail fingerprint <leaked.txt\n"
	     "  sudo tokentrail fingerprint <leaked.txt | sudo tokentrail trace -");
}

/* One byte more than a token may have, so that too long a line is noticed. */
static char line[TOKEN_MAX + 2];
static struct termios shown;
static volatile sig_atomic_t echo_is_off;

static void echo_on(void)
{
	if (echo_is_off)
		tcsetattr(STDIN_FILENO, TCSANOW, &shown);
	echo_is_off = 0;
}

static void on_signal(int number)
{
	echo_on();
	signal(number, SIG_DFL);
	raise(number);
}

static void echo_off(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct termios hidden;

	if (tcgetattr(STDIN_FILENO, &shown) < 0)
		return; /* not a terminal */
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	echo_is_off = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &hidden);
	fputs("tokentrail fingerprint: one token a line, Ctrl-D ends; nothing you type is shown\n",
	      stderr);
}

/* Best effort each: a token in swap or in a core file would outlive this process. */
static void guard_memory(void)
{
	const struct rlimit none = {0, 0};

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)mlock(line, sizeof(line));
}

/* The next line without its end. Its length, -ENODATA at the end, -E2BIG: longer than a token may
 * be, -errno. read(2) by the byte: a buffer of stdio would keep tokens that nobody wipes. */
static ssize_t read_line(void)
{
	size_t len = 0;
	ssize_t n;
	char c;

	for (;;) {
		n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 && len == 0)
			return -ENODATA;
		if (n == 0 || c == '\n')
			break;
		line[len++] = c;
		if (len == sizeof(line))
			return -E2BIG;
	}
	explicit_bzero(&c, 1);
	return len;
}

/* As the head reader unwraps a whole header value. */
static const char *trim(const char *text, size_t *len)
{
	size_t n = *len;

	while (n > 0 && strchr(" \t\r", text[n - 1]) && text[n - 1])
		n--;
	while (n > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		n--;
	}
	if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
		text++;
		n -= 2;
	}
	*len = n;
	return text;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t value = 0;

	for (int i = 7; i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

static void fingerprint_of(const char *bytes, size_t len, const struct keys *keys, uint64_t ret_out[2])
{
	struct siphash s;
	__u64 out[2];

	siphash_init(&s, load64(keys->kernel), load64(keys->kernel + 8));
	for (size_t i = 0; i < len; i++)
		siphash_put(&s, bytes[i]);
	siphash_final(&s, out);
	explicit_bzero(&s, sizeof(s));
	ret_out[0] = out[0];
	ret_out[1] = out[1];
}

/* Does it begin as JSON in base64 does? */
static bool is_json(const char *token, size_t len)
{
	return len >= 3 && (!memcmp(token, "eyJ", 3) || !memcmp(token, "ewo", 3) || !memcmp(token, "eyA", 3));
}

/* As readers/unwrap.h: an SD-JWT (RFC 9901) is the JWT in front of its disclosures. */
static size_t without_disclosures(const char *token, size_t len)
{
	size_t dots = 0;

	for (size_t i = 0; i < len && is_json(token, len); i++) {
		if (token[i] == '~' && dots == 2)
			return i;
		dots += token[i] == '.';
	}
	return len;
}

/* Length of a JWT's header and payload, if it has three segments (readers/claims.h); else 0. */
static size_t signed_part(const char *token, size_t len)
{
	const char *dot[3] = { NULL };
	size_t dots = 0;

	if (!is_json(token, len))
		return 0;
	for (size_t i = 0; i < len && dots < 3; i++)
		if (token[i] == '.')
			dot[dots++] = token + i;
	return dots == 2 ? (size_t)(dot[1] - token) : 0;
}

static int print_signed(const char *token, size_t len, const struct keys *keys)
{
	size_t part = signed_part(token, len);
	char id[TOKEN_ID_LEN];
	uint64_t fingerprint[2];

	if (!part)
		return 0;
	fingerprint_of(token, part, keys, fingerprint);
	if (signed_id(keys->publish, fingerprint, id) < 0)
		return -EIO;
	printf("\"signed_id\":\"%s\",", id);
	return 0;
}

static int print_token(const char *token, size_t len, const struct keys *keys, bool json)
{
	const struct token_class *class = class_get(class_of(token, len, NULL));
	char id[TOKEN_ID_LEN];
	uint64_t fingerprint[2];

	fingerprint_of(token, len, keys, fingerprint);
	if (token_id(keys->publish, fingerprint, len, id) < 0)
		return cmd_cant(NAME, "libcrypto refused HMAC-SHA-256; see its configuration");
	if (!json) {
		printf("%s\n", id);
		return CMD_OK;
	}
	printf("{\"id\":\"%s\",", id);
	if (class)
		printf("\"class\":\"%s\",\"kind\":\"%s\",", class->name, class->kind);
	if (print_signed(token, len, keys) < 0)
		return cmd_cant(NAME, "libcrypto refused HMAC-SHA-256; see its configuration");
	printf("\"length\":%zu,\"key_id\":\"%s\"}\n", len, keys->key_id);
	return CMD_OK;
}

static int print_all(const struct keys *keys, bool json)
{
	int status = CMD_OK;

	for (unsigned long number = 1; status == CMD_OK; number++) {
		ssize_t n = read_line();
		const char *token;
		size_t len;

		if (n == -ENODATA)
			break;
		len = n > 0 ? n : 0;
		token = trim(line, &len);
		if (n == -E2BIG || len > TOKEN_MAX)
			status = cmd_usage_error(
				NAME, "line %lu is longer than a token can be (%d bytes)", number,
				TOKEN_MAX);
		else if (n < 0)
			status = cmd_cant(NAME, "standard input: %s", strerror(-n));
		else if (len > 0)
			status = print_token(token, without_disclosures(token, len), keys, json);
		if (status == CMD_OK && memchr(token, ' ', len))
			fprintf(stderr,
				"tokentrail " NAME ": line %lu has a blank inside; give the token "
				"without its scheme\n",
				number);
		explicit_bzero(line, sizeof(line));
		fflush(stdout); /* an id for each line typed */
	}
	return status;
}

int cmd_fingerprint(int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *config = NULL, *key = NULL;
	char path[FLEET_PATH_LEN];
	struct keys keys;
	bool json = false;
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return cmd_finish_output(NAME, CMD_OK);
		} else if (option == 'k') {
			key = optarg;
		} else if (option == 'c') {
			config = optarg;
		} else if (option == 'j') {
			json = true;
		} else {
			/* It may be a token that begins with '-': not repeated. */
			return cmd_usage_error(NAME, "wrong option");
		}
	}
	if (optind < argc)
		return cmd_usage_error(NAME, "tokens go to standard input, one a line, never into "
					     "arguments (other users see those)");
	status = fleet_path(NAME, key, config, path);
	if (status == CMD_OK)
		status = fleet_load(NAME, path, &keys);
	if (status != CMD_OK)
		return status;

	guard_memory();
	echo_off();
	status = print_all(&keys, json);
	echo_on();
	explicit_bzero(line, sizeof(line));
	explicit_bzero(&keys, sizeof(keys));
	return cmd_finish_output(NAME, status);
}
