/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/sock.bpf.c: plain sockets, through every system call that moves bytes. */
#include "pair_rig.h"
#include "vanish_rig.h"

#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/un.h>

#define TOKEN "glpat" "-0123456789abcdefghij"
#define REQUEST "GET /v1/items/4711?page=2 HTTP/1.1\r\nHost: api.test:8080\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"
#define RESPONSE "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"

static void put(int to, const char *text)
{
	assert_int_equal(write(to, text, strlen(text)), strlen(text));
}

static void get(int from, size_t len)
{
	char buf[65536];
	ssize_t n;

	for (; len; len -= (size_t)n) {
		n = read(from, buf, len < sizeof(buf) ? len : sizeof(buf));
		assert_true(n > 0);
	}
}

/* What both ends of one exchange of REQUEST and RESPONSE must have reported. */
static void assert_exchange(void)
{
	const struct tt_ev_use *out = &rig.use[0], *in = &rig.use[1];

	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(out->dir, TT_DIR_EGRESS);
	assert_int_equal(in->dir, TT_DIR_INGRESS);
	for (size_t i = 0; i < 2; i++) {
		const struct tt_ev_use *u = &rig.use[i];

		assert_int_equal(u->tls, TT_TLS_NONE);
		assert_int_equal(u->version, 11);
		assert_int_equal(u->flags, 0);
		rig_assert_text(u->method, u->method_len, "GET");
		rig_assert_text(u->path, u->path_len, "/v1/items/{...}");
		rig_assert_text(u->host, u->host_len, "api.test:8080");
		rig_assert_token(u, TOKEN);
	}
	assert_int_equal(rig.statuses, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(rig.status[i].status, 201);
		assert_int_equal(rig.status[i].h.seq, 0);
	}
	assert_int_equal(rig.status[0].h.conn, in->h.conn);	/* the server answers first */
	assert_int_equal(rig.status[1].h.conn, out->h.conn);
}

static void test_every_field(void **state)
{
	const struct tt_ev_hdr *out = &rig.use[0].h, *in = &rig.use[1].h;
	struct timespec now;

	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	put(fd[1], RESPONSE);
	get(fd[0], strlen(RESPONSE));
	assert_exchange();
	clock_gettime(CLOCK_BOOTTIME, &now);
	assert_int_equal(out->abi, TT_ABI);
	assert_int_equal(out->len, sizeof(struct tt_ev_use));
	assert_true(out->time_ns < (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	assert_true(out->start_ns && out->start_ns < out->time_ns);
	assert_true(out->conn && in->conn && out->conn != in->conn);
	assert_int_equal(out->tgid, getpid());
	assert_int_equal(out->tid, getpid());
	assert_int_equal(out->uid, getuid());
	assert_string_equal((const char *)out->comm, "test_sock");
	assert_true(out->cgroup != 0);
	assert_int_equal(out->tuple.family, TT_AF_INET);
	assert_int_equal(out->tuple.local_port, rig_port(fd[0]));
	assert_int_equal(out->tuple.remote_port, rig_port(fd[1]));
	assert_int_equal(in->tuple.local_port, rig_port(fd[1]));
	assert_int_equal(in->tuple.remote_port, rig_port(fd[0]));
	assert_memory_equal(out->tuple.local, "\x7f\0\0\1", 4);
	assert_memory_equal(out->tuple.remote, "\x7f\0\0\1", 4);
}

static void test_sendto_recvfrom(void **state)
{
	char buf[512];

	assert_int_equal(send(fd[0], REQUEST, strlen(REQUEST), 0), strlen(REQUEST));
	/* looking at bytes without taking them must not count them */
	assert_int_equal(recv(fd[1], buf, sizeof(buf), MSG_PEEK), strlen(REQUEST));
	assert_int_equal(recv(fd[1], buf, sizeof(buf), 0), strlen(REQUEST));
	assert_int_equal(send(fd[1], RESPONSE, strlen(RESPONSE), 0), strlen(RESPONSE));
	assert_int_equal(recv(fd[0], buf, sizeof(buf), 0), strlen(RESPONSE));
	assert_exchange();
}

/* The head in pieces of 1, 2, 3, ... bytes, the last one the rest. */
static int pieces(const char *text, struct iovec *iov, int max)
{
	size_t at = 0, len = strlen(text);
	int n;

	for (n = 0; n < max && at < len; n++) {
		size_t take = n == max - 1 || at + (size_t)n + 1 > len ? len - at : (size_t)n + 1;

		iov[n] = (struct iovec){ (char *)text + at, take };
		at += take;
	}
	return n;
}

static void test_vectors(void **state)
{
	char a[40], b[1000];
	struct iovec out[16], in[2] = { { a, sizeof(a) }, { b, sizeof(b) } };
	int n = pieces(REQUEST, out, 12);

	assert_int_equal(writev(fd[0], out, n), strlen(REQUEST));
	assert_int_equal(readv(fd[1], in, 2), strlen(REQUEST));
	n = pieces(RESPONSE, out, 5);
	assert_int_equal(writev(fd[1], out, n), strlen(RESPONSE));
	assert_int_equal(readv(fd[0], in, 2), strlen(RESPONSE));
	assert_exchange();
}

static void test_messages(void **state)
{
	char a[40], b[1000];
	struct iovec out[16], in[2] = { { a, sizeof(a) }, { b, sizeof(b) } };
	struct msghdr send = { .msg_iov = out, .msg_iovlen = (size_t)pieces(REQUEST, out, 12) };
	struct msghdr recv = { .msg_iov = in, .msg_iovlen = 2 };

	assert_int_equal(sendmsg(fd[0], &send, 0), strlen(REQUEST));
	assert_int_equal(recvmsg(fd[1], &recv, MSG_PEEK), strlen(REQUEST));
	assert_int_equal(recvmsg(fd[1], &recv, 0), strlen(REQUEST));
	send.msg_iovlen = (size_t)pieces(RESPONSE, out, 5);
	assert_int_equal(sendmsg(fd[1], &send, 0), strlen(RESPONSE));
	assert_int_equal(recvmsg(fd[0], &recv, 0), strlen(RESPONSE));
	assert_exchange();
}

static void test_sendmmsg(void **state)
{
	struct iovec iov[3] = { { (char *)REQUEST, 10 },
				{ (char *)REQUEST + 10, 50 },
				{ (char *)REQUEST + 60, strlen(REQUEST) - 60 } };
	struct mmsghdr m[3];

	memset(m, 0, sizeof(m));
	for (size_t i = 0; i < 3; i++) {
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	assert_int_equal(sendmmsg(fd[0], m, 3, 0), 3);
	get(fd[1], strlen(REQUEST));
	put(fd[1], RESPONSE);
	get(fd[0], strlen(RESPONSE));
	assert_exchange();
}

/* A duplicated descriptor is the same connection. */
static void test_dup(void **state)
{
	int copy = dup(fd[0]), other = fcntl(fd[0], F_DUPFD_CLOEXEC, 100);

	assert_true(copy >= 0 && other >= 100);
	assert_int_equal(write(copy, REQUEST, 20), 20);
	close(copy);
	assert_int_equal(write(other, REQUEST + 20, strlen(REQUEST) - 20), strlen(REQUEST) - 20);
	get(fd[1], strlen(REQUEST));
	put(fd[1], RESPONSE);
	get(other, strlen(RESPONSE));
	close(other);
	assert_exchange();
}

/* A body by sendfile passes through no buffer of the program; the next head is found again. */
static void test_sendfile_body(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
	FILE *f = tmpfile();
	off_t at = 0;

	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 5000), 0);
	for (int i = 0; i < 2; i++) {
		put(fd[0], REQUEST);
		get(fd[1], strlen(REQUEST));
		put(fd[1], head);
		at = 0;
		assert_int_equal(sendfile(fd[1], fileno(f), &at, 5000), 5000);
		get(fd[0], strlen(head) + 5000);
	}
	fclose(f);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.statuses, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(rig.status[i].status, 200);
		assert_int_equal(rig.status[i].h.seq, i / 2);
	}
}

/* splice() takes bytes from a socket and is seen by no hook. A body may go that way; what a head loses
 * is noticed and counted, and the connection followed again from the next one on. */
static void splice_away(size_t len)
{
	int pipe_fd[2];

	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(splice(fd[1], NULL, pipe_fd[1], NULL, len, 0), len);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void test_spliced_body(void **state)
{
	static const char head[] = "PUT / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n";
	char body[3000];
	uint64_t before = rig_dropped(&rig, TT_DROP_gap);

	memset(body, 'b', sizeof(body));
	for (int i = 0; i < 2; i++) {
		put(fd[0], head);
		assert_int_equal(write(fd[0], body, sizeof(body)), sizeof(body));
		put(fd[0], REQUEST);
		get(fd[1], strlen(head));
		splice_away(sizeof(body));
		get(fd[1], strlen(REQUEST));
	}
	rig_collect(&rig);
	assert_int_equal(rig_dropped(&rig, TT_DROP_gap), before);
	assert_int_equal(rig.uses, 4);
	for (size_t i = 0; i < 4; i++)
		rig_assert_token(&rig.use[i], TOKEN);
}

static void test_spliced_head(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_gap);

	for (int i = 0; i < 3; i++)
		put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST) + 20);
	splice_away(strlen(REQUEST) - 20);
	get(fd[1], strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig_dropped(&rig, TT_DROP_gap), before + 1);
	assert_int_equal(rig.uses, 5);	/* three sent, the first and the third received */
	for (size_t i = 0; i < 5; i++)
		rig_assert_token(&rig.use[i], TOKEN);
}

/* Peeked bytes come again. */
static void test_peek(void **state)
{
	char buf[4096];

	put(fd[0], REQUEST);
	for (int i = 0; i < 3; i++)
		assert_int_equal(recv(fd[1], buf, 40, MSG_PEEK), 40);
	get(fd[1], 30);
	assert_int_equal(recv(fd[1], buf, 10, MSG_PEEK), 10);
	get(fd[1], strlen(REQUEST) - 30);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	rig_assert_token(&rig.use[0], TOKEN);
	rig_assert_token(&rig.use[1], TOKEN);
}

/* A response that is read together with the end of the connection. */
static void test_fin_along(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_gap);
	char buf[4096];

	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	put(fd[1], RESPONSE);
	get(fd[0], strlen(RESPONSE));
	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	put(fd[1], RESPONSE);
	assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
	/* Wants more than there is, so that it takes the FIN too. */
	assert_int_equal(recv(fd[0], buf, sizeof(buf), MSG_WAITALL), strlen(RESPONSE));
	rig_collect(&rig);
	assert_int_equal(rig_dropped(&rig, TT_DROP_gap), before);
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.statuses, 4);
}

/* A socket that is closed already and read only then must leave nothing for the next one, which may
 * well lie at its address. */
static void test_read_after_close(void **state)
{
	const struct linger reset = { .l_onoff = 1 };
	int pairs[16][2];
	char buf[50];

	for (int i = 0; i < 16; i++)
		rig_tcp(pairs[i]);
	for (int i = 0; i < 16; i++) {
		put(pairs[i][0], REQUEST);
		assert_int_equal(setsockopt(pairs[i][0], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		close(pairs[i][0]);
		assert_int_equal(read(pairs[i][1], buf, sizeof(buf)), sizeof(buf));
		close(pairs[i][1]);
	}
	for (int i = 0; i < 16; i++) {
		rig_tcp(pairs[i]);
		rig_clear(&rig);
		put(pairs[i][0], REQUEST);
		get(pairs[i][1], strlen(REQUEST));
		put(pairs[i][1], RESPONSE);
		get(pairs[i][0], strlen(RESPONSE));
		assert_exchange();
	}
	for (int i = 0; i < 16; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
}

/* A head over many calls, byte by byte, both ends reading them separately. */
static void test_byte_by_byte(void **state)
{
	for (const char *c = REQUEST; *c; c++) {
		assert_int_equal(write(fd[0], c, 1), 1);
		get(fd[1], 1);
	}
	for (const char *c = RESPONSE; *c; c++) {
		assert_int_equal(write(fd[1], c, 1), 1);
		get(fd[0], 1);
	}
	assert_exchange();
}

/* 20 KiB of other fields in front of the credential, in one write and in two. */
static void test_large_head(void **state)
{
	static char head[40000];
	size_t len;

	len = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nCookie: ");
	memset(head + len, 'c', 20000);
	len += 20000;
	len += (size_t)snprintf(head + len, sizeof(head) - len, "\r\nX-API-Key: " TOKEN "\r\n\r\n");
	put(fd[0], head);
	get(fd[1], len);
	assert_int_equal(write(fd[0], head, 15000), 15000);
	assert_int_equal(write(fd[0], head + 15000, len - 15000), len - 15000);
	get(fd[1], len);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	for (size_t i = 0; i < 4; i++)
		rig_assert_token(&rig.use[i], TOKEN);
}

/* A large body in front of a split head does not make the head long. */
static void test_split_behind_large_body(void **state)
{
	static char call[400000];
	size_t len = (size_t)snprintf(call, sizeof(call), "PUT / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n");
	int size = 1 << 20;

	memset(call + len, 'b', 300000);
	len += 300000;
	memcpy(call + len, REQUEST, 70);
	len += 70;
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(fd[i], SOL_SOCKET, i ? SO_RCVBUFFORCE : SO_SNDBUFFORCE,
					    &size, sizeof(size)), 0);
	assert_int_equal(send(fd[0], call, len, 0), len);
	put(fd[0], REQUEST + 70);
	get(fd[1], len + strlen(REQUEST) - 70);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	rig_assert_token(&rig.use[0], TOKEN);
	rig_assert_token(&rig.use[1], TOKEN);
}

static void test_pipelining(void **state)
{
	char many[20 * sizeof(REQUEST)] = "";

	for (int i = 0; i < 20; i++)
		strncat(many, REQUEST, sizeof(many) - strlen(many) - 1);
	put(fd[0], many);
	get(fd[1], strlen(many));
	for (int i = 0; i < 20; i++) {
		char response[64];

		snprintf(response, sizeof(response), "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", 200 + i);
		put(fd[1], response);
		get(fd[0], strlen(response));
	}
	rig_collect(&rig);
	assert_int_equal(rig.uses, 40);
	assert_int_equal(rig.statuses, 40);
	for (size_t i = 0; i < 40; i++) {
		assert_int_equal(rig.status[i].status, 200 + i / 2);
		assert_int_equal(rig.status[i].h.seq, i / 2);
	}
}

static void test_unix_socket(void **state)
{
	int un[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, un), 0);
	put(un[0], REQUEST);
	get(un[1], strlen(REQUEST));
	put(un[1], RESPONSE);
	get(un[0], strlen(RESPONSE));
	close(un[0]);
	close(un[1]);
	assert_exchange();
	assert_int_equal(rig.use[0].h.tuple.family, TT_AF_UNIX);
}

/* The end of the socket ends the wait for a status. */
static void test_close(void **state)
{
	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	close(fd[1]);
	close(fd[0]);
	fd[0] = fd[1] = -1;
	usleep(20000);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	assert_int_equal(rig.statuses, 0);
	assert_int_equal(rig.closes, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(rig.closed[i].h.conn == rig.use[0].h.conn ||
			    rig.closed[i].h.conn == rig.use[1].h.conn);
		assert_int_equal(rig.closed[i].h.seq, 1);
		assert_int_equal(rig.closed[i].status, 0);
	}
}

/* Other protocols, files and pipes: no report, no complaint. */
static void test_not_http(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_bad_request_line);
	int p[2];

	put(fd[0], "EHLO client.example\r\n");
	get(fd[1], 21);
	put(fd[0], "\x16\x03\x01\x02\x01");
	put(fd[0], "*1\r\n$4\r\nPING\r\n");
	get(fd[1], 5 + 14);
	assert_int_equal(pipe(p), 0);
	put(p[1], REQUEST);
	get(p[0], strlen(REQUEST));
	close(p[0]);
	close(p[1]);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 0);
	assert_int_equal(rig_dropped(&rig, TT_DROP_bad_request_line), before);
}

/* A head that can't be parsed is counted, and the connection followed again at the next one. */
static void test_bad_head(void **state)
{
	static const char bad[] = "GET / HTTP/1.1\r\nno colon here\r\n\r\n";
	uint64_t before = rig_dropped(&rig, TT_DROP_bad_header);

	put(fd[0], bad);
	get(fd[1], strlen(bad));
	assert_int_equal(rig_dropped(&rig, TT_DROP_bad_header), before + 2);
	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 2);
	rig_assert_token(&rig.use[0], TOKEN);
}

/* After 101 or a CONNECT that was granted, what looks like HTTP is none. */
static void test_tunnel(void **state)
{
	static const char connect[] = "CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n"
				      "Proxy-Authorization: Basic dXNlcjpnbHBhdC0wMTIzNDU2Nzg5YWJjZGVmZ2hpag==\r\n\r\n";
	static const char refused[] = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
	static const char granted[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	put(fd[0], connect);
	get(fd[1], strlen(connect));
	put(fd[1], refused);
	get(fd[0], strlen(refused));
	put(fd[0], connect);
	get(fd[1], strlen(connect));
	put(fd[1], granted);
	get(fd[0], strlen(granted));
	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	rig_collect(&rig);
	assert_int_equal(rig.uses, 4);
	assert_int_equal(rig.statuses, 4);
	for (size_t i = 0; i < 4; i++) {
		rig_assert_token(&rig.use[i], TOKEN);
		assert_int_equal(rig.use[i].path_len, 0);
		rig_assert_text(rig.use[i].host, rig.use[i].host_len, "db.test:5432");
		assert_int_equal(rig.status[i].status, i < 2 ? 407 : 200);
	}
}

/* A chunked body that looks like a head, with a trailer behind. */
static void test_chunked_body_like_a_head(void **state)
{
	static const char post[] = "POST /upload HTTP/1.1\r\nAuthorization: token " TOKEN
				   "\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "2f\r\nGET /body HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n"
				   "0\r\nTrailer: y\r\n\r\n";

	for (int i = 0; i < 3; i++) {
		put(fd[0], post);
		get(fd[1], strlen(post));
	}
	rig_collect(&rig);
	assert_int_equal(rig.uses, 6);
	for (size_t i = 0; i < 6; i++) {
		rig_assert_text(rig.use[i].path, rig.use[i].path_len, "/upload");
		rig_assert_token(&rig.use[i], TOKEN);
	}
}

/* Chunks that end with their call: what comes behind is no head yet. */
static void test_chunks_of_a_call(void **state)
{
	static const char *const parts[] = {
		"POST /upload HTTP/1.1\r\nAuthorization: token " TOKEN "\r\nTransfer-Encoding: chunked\r\n\r\n2f\r\n",
		"GET /body HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n", "\r\n2f\r\n",
		"GET /body HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n", "\r\n0\r\n\r\n",
	};
	const size_t count = sizeof(parts) / sizeof(parts[0]);

	for (size_t i = 0; i < 3 * count; i++) {
		put(fd[0], parts[i % count]);
		get(fd[1], strlen(parts[i % count]));
	}
	rig_collect(&rig);
	assert_int_equal(rig.uses, 6);
	for (size_t i = 0; i < 6; i++)
		rig_assert_text(rig.use[i].path, rig.use[i].path_len, "/upload");
}

/* A call whose bytes don't get to the reader is counted, keeps no slot, and the next message is read. */
static void test_no_reader(void **state)
{
	uint64_t before = rig_dropped(&rig, TT_DROP_call_lost);
	int reader = rig_take_reader("sock_reader");

	for (int i = 0; i < 2 * RIG_SLOTS; i++) {
		put(fd[0], REQUEST);
		get(fd[1], strlen(REQUEST));
	}
	assert_true(rig_dropped(&rig, TT_DROP_call_lost) >= before + 4 * RIG_SLOTS);
	rig_collect(&rig);
	assert_int_equal(rig.uses, 0);
	rig_put_reader("sock_reader", reader);
	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	put(fd[1], RESPONSE);
	get(fd[0], strlen(RESPONSE));
	assert_exchange();
}

/* ---- statuses, when messages went by unseen ---- */

#define REFUSED "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"

/* Passes through no buffer of the program. */
static void put_unseen(int to, const char *text)
{
	int file = memfd_create("unseen", MFD_CLOEXEC);
	off_t at = 0;

	assert_true(file >= 0);
	put(file, text);
	assert_int_equal(sendfile(to, file, &at, strlen(text)), strlen(text));
	close(file);
}

static void ask(void)
{
	put(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
}

static void answer(const char *text)
{
	put(fd[1], text);
	get(fd[0], strlen(text));
}

#define UNTOLD (-1)

static int told(const struct tt_ev_hdr *use)
{
	for (size_t i = 0; i < rig.statuses; i++)
		if (rig.status[i].h.conn == use->conn && rig.status[i].h.seq == use->seq)
			return rig.status[i].status;
	return UNTOLD;
}

/* Of the requests of an end, in their order. */
static void assert_statuses(enum tt_dir dir, const int *want, size_t requests)
{
	size_t n = 0;

	rig_collect(&rig);
	for (size_t i = 0; i < rig.uses; i++) {
		if (rig.use[i].dir != dir)
			continue;
		assert_true(n < requests);
		assert_int_equal(told(&rig.use[i].h), want[n++]);
	}
	assert_int_equal(n, requests);
}

static void test_response_unseen(void **state)
{
	ask();
	answer(RESPONSE);
	ask();
	put_unseen(fd[1], REFUSED);
	get(fd[0], strlen(REFUSED));
	ask();
	answer(RESPONSE);
	ask();
	answer(REFUSED);
	assert_statuses(TT_DIR_INGRESS, (int[]){ 201, 0, 201, 401 }, 4);
	assert_statuses(TT_DIR_EGRESS, (int[]){ 201, 401, 201, 401 }, 4);
}

/* More than are kept rows for. */
static void test_responses_unseen(void **state)
{
	int want[7] = { 201 };

	ask();
	answer(RESPONSE);
	for (int i = 1; i < 6; i++) {
		ask();
		put_unseen(fd[1], REFUSED);
		get(fd[0], strlen(REFUSED));
	}
	ask();
	answer(RESPONSE);
	want[6] = 201;
	assert_statuses(TT_DIR_INGRESS, want, 7);
}

static void test_request_unseen(void **state)
{
	ask();
	answer(RESPONSE);
	put_unseen(fd[0], REQUEST);
	get(fd[1], strlen(REQUEST));
	answer(REFUSED);
	ask();
	answer(RESPONSE);
	assert_statuses(TT_DIR_INGRESS, (int[]){ 201, 401, 201 }, 3);
	assert_statuses(TT_DIR_EGRESS, (int[]){ 201, 201 }, 2);
}

static void test_requests_unseen(void **state)
{
	ask();
	answer(RESPONSE);
	for (int i = 0; i < 3; i++) {
		put_unseen(fd[0], REQUEST);
		get(fd[1], strlen(REQUEST));
		answer(REFUSED);
	}
	ask();
	answer(RESPONSE);
	assert_statuses(TT_DIR_EGRESS, (int[]){ 201, 201 }, 2);
}

/* That it was missed is known only when the next one comes. */
static void test_request_spliced(void **state)
{
	ask();
	answer(RESPONSE);
	put(fd[0], REQUEST);
	splice_away(strlen(REQUEST));
	answer(REFUSED);
	for (int i = 0; i < 2; i++) {
		ask();
		answer(RESPONSE);
	}
	assert_statuses(TT_DIR_INGRESS, (int[]){ 201, 201, 201 }, 3);
}

/* What comes then may be the answer to either. */
static void test_both_unseen(void **state)
{
	ask();
	answer(RESPONSE);
	ask();
	put_unseen(fd[1], RESPONSE);
	get(fd[0], strlen(RESPONSE));
	put(fd[0], REQUEST "%");
	get(fd[1], 20);
	splice_away(strlen(REQUEST) - 20);
	get(fd[1], 1);
	answer(REFUSED);
	ask();
	answer(RESPONSE);
	assert_statuses(TT_DIR_INGRESS, (int[]){ 201, 0, 201 }, 3);
}

/* Of a client that does not wait for answers nobody knows which one is missing. */
static void test_pipelined_unseen(void **state)
{
	ask();
	answer(RESPONSE);
	ask();
	ask();
	put_unseen(fd[1], RESPONSE);
	get(fd[0], strlen(RESPONSE));
	answer(REFUSED);
	ask();
	answer(RESPONSE);
	assert_statuses(TT_DIR_INGRESS, (int[]){ 201, UNTOLD, UNTOLD, UNTOLD }, 4);
	assert_statuses(TT_DIR_EGRESS, (int[]){ 201, 201, 401, 201 }, 4);
}

/* Nor which answer is whose, if a request is. */
static void test_pipelined_request_unseen(void **state)
{
	ask();
	ask();
	answer(RESPONSE);
	answer(RESPONSE);
	put_unseen(fd[0], REQUEST);
	put(fd[0], REQUEST);
	get(fd[1], 2 * strlen(REQUEST));
	answer(REFUSED);
	answer(RESPONSE);
	assert_statuses(TT_DIR_INGRESS, (int[]){ 201, 201, 401, 201 }, 4);
	assert_statuses(TT_DIR_EGRESS, (int[]){ 201, 201, UNTOLD }, 3);
}

static void connect_anew(void)
{
	pair_down(NULL);
	rig_tcp(fd);
}

static void exchange(const char *request)
{
	put(fd[0], request);
	get(fd[1], strlen(REQUEST));
	answer(RESPONSE);
}

static void test_vanishing(void **state)
{
	vanish_test(&rig, REQUEST, connect_anew, exchange);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, pair_up, pair_down)
		T(test_every_field),   T(test_sendto_recvfrom), T(test_vectors),
		T(test_messages),      T(test_sendmmsg),	T(test_dup),
		T(test_sendfile_body), T(test_byte_by_byte),	T(test_large_head),
		T(test_split_behind_large_body), T(test_pipelining),    T(test_unix_socket),	T(test_close),
		T(test_not_http),      T(test_bad_head),	T(test_tunnel),
		T(test_chunked_body_like_a_head), T(test_chunks_of_a_call), T(test_spliced_body), T(test_spliced_head),
		T(test_peek),	       T(test_fin_along),	T(test_read_after_close),
		T(test_no_reader),     T(test_response_unseen), T(test_responses_unseen), T(test_request_unseen),
		T(test_requests_unseen), T(test_request_spliced), T(test_both_unseen),   T(test_pipelined_unseen),
		T(test_pipelined_request_unseen), T(test_vanishing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
