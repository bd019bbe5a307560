/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs tell the agent: the records of the ring buffer `rb_data`, and the
 * contents of the tables that user space fills before the programs run.
 *
 * No field of any struct here carries a byte of a credential but what may be known of it: header and
 * claims of a signed JWT. Where one is met, it travels as a keyed fingerprint (SipHash-2-4-128) and a
 * length; paths have their secret-looking segments replaced before they are copied in, and queries
 * are dropped.
 *
 * Both compilers assert the sizes. Change a layout: bump TT_ABI. The reader refuses a record whose
 * abi, type or len it does not expect.
 */
#ifndef TOKENTRAIL_ABI_H
#define TOKENTRAIL_ABI_H

#include <linux/types.h>

#define TT_ABI 7

/* Limits. Strings are cut (and flagged) at these; counts are evicted or dropped and counted. */
#define TT_COMM_LEN 16		/* TASK_COMM_LEN, include/linux/sched.h */
#define TT_OWN_MAX 4		/* processes of tokentrail: monitor, agent, the agent that takes its place */
#define TT_METHOD_LEN 16	/* longest registered method is 17 (UPDATEREDIRECTREF); cut */
#define TT_PATH_LEN 160		/* redacted path, bytes, not NUL-terminated when full */
#define TT_HOST_LEN 96		/* Host field value without blanks */
#define TT_MCP_METHOD_LEN 32	/* longest method of MCP 2026-07-28 is 27 */
#define TT_MCP_NAME_LEN 64
#define TT_PUBLIC_LEN 32	/* longest public identifier, bytes */
#define TT_CREDS_MAX 4		/* credentials reported per request head; more are counted */
#define TT_PREFIX_LEN 24	/* longest class prefix, bytes */
#define TT_CLAIMS_TEXT_MAX 8192	/* of a JWT; servers allow a head 8 to 64 KiB. Power of two */
#define TT_CARRY_LEN 64		/* bytes of a credential that its class is told by */
#define TT_CLASSES_MAX 1024	/* rows of the class table, those of the configuration among them */
#define TT_CLASS_TRIES 32	/* rows that are tried for one prefix */
#define TT_CLASS_MARKS 4
#define TT_PATH_RULES_MAX 64	/* places in paths where a secret stands */
#define TT_PATH_RULES_SAME 8	/* of them, whose paths begin alike */
#define TT_PATH_WORDS 4		/* longest piece of such a path, in words */
#define TT_PATH_CLASSES 4	/* that may stand in one place */

enum tt_ev_type {
	TT_EV_USE = 1,		/* a request head with at least one credential: struct tt_ev_use */
	TT_EV_STATUS = 2,	/* the final response to such a request (for gRPC its trailers), or its
				 * end without one: struct tt_ev_status */
	TT_EV_CLOSE = 3,	/* the connection is gone; no status will follow: struct tt_ev_status, status 0 */
	TT_EV_CLAIMS = 4,	/* a JWT was met for the first time: struct tt_ev_claims */
	TT_EV_MINT = 5,		/* what was read of a body of a request for a token, or of its answer:
				 * struct tt_ev_mint */
	TT_EV_ROW = 6,		/* a row of repeats ends, since another use needs its place: struct tt_ev_row */
};

enum tt_dir {
	TT_DIR_EGRESS = 1,	/* this process sent the request */
	TT_DIR_INGRESS = 2,	/* this process received the request */
};

enum tt_tls {
	TT_TLS_NONE = 0,	/* plain socket */
#define TT_TLS(number, name, NAME, file) TT_TLS_##NAME = number,
#define TT_TLS_BLIND(number, name, NAME) TT_TLS_##NAME = number,
#include "tls.def"
#undef TT_TLS
	TT_TLS_MAX
};

/* Families as in sys/socket.h; 0 = the socket is not known for sure: no address is reported. */
#define TT_AF_NONE 0
#define TT_AF_UNIX 1
#define TT_AF_INET 2
#define TT_AF_INET6 10

struct tt_tuple {
	__u8 local[16];		/* IPv4 in the first 4 bytes, network order */
	__u8 remote[16];
	__u16 local_port;	/* host order */
	__u16 remote_port;	/* host order */
	__u16 family;		/* TT_AF_* */
	__u16 pad_;
};
_Static_assert(sizeof(struct tt_tuple) == 40, "bump TT_ABI");

struct tt_ev_hdr {
	__u16 type;		/* enum tt_ev_type */
	__u16 abi;		/* TT_ABI */
	__u32 len;		/* of the whole record, bytes */
	__u64 time_ns;		/* CLOCK_BOOTTIME */
	__u64 start_ns;		/* when the process started, CLOCK_BOOTTIME (task_struct.start_boottime of
				 * the thread group leader): with tgid it names a process for good */
	__u64 conn;		/* connection, unique while the sensor runs */
	__u64 cgroup;		/* cgroup v2 id (inode number of its directory) */
	__u32 seq;		/* names the request on this connection and pairs USE with STATUS: its
				 * number from 0, or for HTTP/2 TT_SEQ_STREAM | stream identifier */
	__u32 tgid;		/* process id in the initial pid namespace */
	__u32 tid;
	__u32 uid;		/* real user id in the initial user namespace */
	__u8 comm[TT_COMM_LEN];	/* of the thread group leader, NUL-terminated */
	struct tt_tuple tuple;
};
_Static_assert(sizeof(struct tt_ev_hdr) == 112, "bump TT_ABI");

#define TT_SEQ_STREAM 0x80000000u

struct tt_cred {
	__u64 token[2];		/* SipHash-2-4-128 of the unwrapped credential, under the kernel key */
	__u32 length;		/* of the unwrapped credential, bytes */
	__u16 class_id;		/* row of the class table (tokens/classes.tsv), 0 = none fits */
	__u16 carrier;		/* row of the carrier table (tokens/carriers.tsv), 0 = unreadable */
	__u8 scheme;		/* row of the scheme table (readers/fields.h), 0 = no scheme */
	__u8 flags;		/* TT_CRED_* */
	__u8 pad_[2];
	__u32 entry;		/* with TT_CRED_UNREADABLE: which table entry, from 1 = the newest one when
				 * this direction of the connection was first seen; else 0 */
};
_Static_assert(sizeof(struct tt_cred) == 32, "bump TT_ABI");
#define TT_SCHEME_OTHER 255	/* tt_cred.scheme: a word that is on no list stood before the value */
#define TT_CRED_DUP_SCHEME 1	/* "Bearer Bearer x": the scheme stood twice */
/* A field that was sent by reference to an HPACK table entry from before the sensor looked (RFC 7541,
 * 2.3.2): it may be a credential, nobody but the two ends can know. token[] then names this entry of
 * this connection and nothing else; length, class_id, carrier and scheme are 0. */
#define TT_CRED_UNREADABLE 2
#define TT_CRED_CHECKSUM_OK 4	/* the class has a checksum, and this one's is right */
#define TT_CRED_CHECKSUM_BAD 8	/* or wrong: mistyped, or made up */

/* tt_ev_use.flags */
#define TT_USE_PATH_CUT 1
#define TT_USE_HOST_CUT 2
#define TT_USE_MORE_CREDS 4	/* more than TT_CREDS_MAX credentials; the rest were counted only */

struct tt_ev_use {
	struct tt_ev_hdr h;
	__u8 dir;		/* enum tt_dir */
	__u8 tls;		/* enum tt_tls */
	__u8 version;		/* 10 = HTTP/1.0, 11 = HTTP/1.1, 20 = HTTP/2 */
	__u8 flags;		/* TT_USE_* */
	__u8 creds;		/* used entries of cred[] */
	__u8 method_len;
	__u8 path_len;
	__u8 host_len;
	__u8 method[TT_METHOD_LEN];
	__u8 path[TT_PATH_LEN];	/* redacted; empty for CONNECT and OPTIONS * */
	__u8 host[TT_HOST_LEN];	/* Host field, :authority, or the target of CONNECT; userinfo removed */
	__u8 mcp_method_len, mcp_name_len;
	__u8 mint;		/* rule that says the request may be for a token (struct tt_ev_mint), 0 = none;
				 * then it may have no credential */
	__u8 public_len;
	__u8 public_cred;	/* which of cred[] public_id belongs to */
	__u8 pad_[3];
	__u8 mcp_method[TT_MCP_METHOD_LEN];	/* Mcp-Method field (MCP 2026-07-28) */
	__u8 mcp_name[TT_MCP_NAME_LEN];		/* Mcp-Name field; "{...}" if it looks like a secret */
	/* Of a credential that is public by design, and whose class says so (TT_CLASS_PUBLIC): its text. */
	__u8 public_id[TT_PUBLIC_LEN];
	struct tt_cred cred[TT_CREDS_MAX];
};
_Static_assert(sizeof(struct tt_ev_use) == 112 + 8 + 16 + 160 + 96 + 8 + 96 + 32 + 128, "bump TT_ABI");

/* tt_ev_status.flags */
#define TT_STATUS_GRPC 1	/* grpc is the call's grpc-status */
#define TT_STATUS_UNSENT 2	/* the request, and those after it, never left the process; status 0 */
#define TT_STATUS_SAID_CUT 4	/* not all of the texts had room */
#define TT_STATUS_ROW 8		/* the request was a repeat that a row stands for (struct tt_row): h.seq is its
				 * number, h.conn its generation. The row counts the status, or a text is told */
#define TT_STATUS_ALONE 16	/* with TT_STATUS_ROW: but it has no room for the status, which counts by this */

struct tt_ev_status {
	struct tt_ev_hdr h;
	__u16 status;		/* 100..999; 0 in TT_EV_CLOSE, and in TT_EV_STATUS if the request was
				 * ended without a response (RST_STREAM, GOAWAY): no status will follow */
	__u8 grpc;		/* grpc-status, 0..16 (gRPC "PROTOCOL-HTTP2"); values above as 255 */
	__u8 flags;		/* TT_STATUS_* */
	__u16 text_len;		/* of what the response's head said, which follows: struct tt_ev_said */
	__u8 pad_[2];
};
_Static_assert(sizeof(struct tt_ev_status) == 120, "bump TT_ABI");

/*
 * What a response says of the credential of its request: items of a row, a length, and words with a blank
 * between them. Public texts; a word that could be a secret is "{...}". What is granted and needed is told
 * when it is news of the token, not with each response.
 */
#define TT_SAID_LEN 616
enum tt_said {
	TT_SAID_SCOPES = 1,		/* X-OAuth-Scopes: granted; a list may have several items */
	TT_SAID_EXPIRES = 2,		/* GitHub-Authentication-Token-Expiration */
	TT_SAID_NEEDED = 3,		/* X-Accepted-OAuth-Scopes: any of them would do */
	TT_SAID_SCHEME = 4,		/* of WWW-Authenticate, and of it only this, */
	TT_SAID_ERROR = 5,		/* error, */
	TT_SAID_SCOPE = 6,		/* scope */
	TT_SAID_RESOURCE = 7,		/* and resource_metadata (RFC 9728) */
	TT_SAID_REQUIREMENT = 8,	/* of AAuth-Requirement */
	TT_SAID_NONCE = 9,		/* DPoP-Nonce: that it is there */
	TT_SAID_COOKIE = 10,		/* Set-Cookie of a listed name: its row in the carrier table, two bytes */
	TT_SAID_IDS = 16,		/* from here on: the server's name for this request */
	TT_SAID_AUDIT_ID = 16,		/* Audit-ID (Kubernetes) */
	TT_SAID_GITHUB_ID = 17,		/* X-GitHub-Request-Id */
	TT_SAID_AMZN_ID = 18,		/* x-amzn-RequestId */
	TT_SAID_AMZ_ID = 19,		/* x-amz-request-id */
};

/* As long as its text. */
struct tt_ev_said {
	struct tt_ev_status s;
	__u8 text[TT_SAID_LEN];
};
_Static_assert(sizeof(struct tt_ev_said) == 120 + TT_SAID_LEN, "bump TT_ABI");

/* tt_ev_claims.flags. With one of the first three there is no text. */
#define TT_CLAIMS_UNSIGNED 1	/* no third segment, or alg is none: whoever has the payload has the token */
#define TT_CLAIMS_UNSURE 2	/* the header has "none" or an escape elsewhere: it may be unsigned */
#define TT_CLAIMS_BAD 4		/* a segment is not base64url (RFC 7515, 2) */
#define TT_CLAIMS_LONG 8	/* longer than TT_CLAIMS_TEXT_MAX: header only; signed_part may be 0 */
#define TT_CLAIMS_JWE 16	/* encrypted (RFC 7516): header only */
#define TT_CLAIMS_SD 32		/* disclosures follow the signature (RFC 9901) */
#define TT_CLAIMS_ALG_NONE 64	/* with TT_CLAIMS_UNSIGNED: that is what the header says */

/*
 * A JWT (RFC 7519) that was met for the first time, ahead of the record of its use: header and payload
 * as they stood there, never the signature. It is as long as its text. Its header has neither
 * connection nor socket.
 */
struct tt_ev_claims {
	struct tt_ev_hdr h;
	__u64 token[2];		/* as in struct tt_cred */
	__u64 signed_part[2];	/* the same hash of `header.payload`, which is the same for all texts that
				 * verify alike; 0 = not known */
	__u32 length;		/* of the whole credential, bytes */
	__u16 class_id;		/* as in struct tt_cred */
	__u16 header_len;
	__u16 payload_len;	/* 0 = none in the text; else it follows header and dot */
	__u8 flags;		/* TT_CLAIMS_* */
	__u8 pad_[5];
	__u8 text[TT_CLAIMS_TEXT_MAX];
};
_Static_assert(sizeof(struct tt_ev_claims) == 112 + 48 + TT_CLAIMS_TEXT_MAX, "bump TT_ABI");

/* ---- repeats ---- */

/*
 * A use whose like was reported is no record any more: it is added up in a row of the array `use_rows`, which
 * the agent maps and only reads. A row stands for what is the same in all of them, but for the client's port.
 * Its counts only grow while its generation is the same. `uses` is counted with the request, `status` with the
 * response: what was withdrawn aside, there are at least as many of the first as of the second.
 */
#define TT_ROW_STATUSES 6

struct tt_row_status {
	__u16 status;		/* 0 = ended without one */
	__u8 grpc;		/* grpc-status + 1; 0 = none */
	__u8 used;
	__u32 pad_;
	__u64 count;
	__u64 last_ns;		/* CLOCK_BOOTTIME: of the row's last request when this was last counted */
};

struct tt_row {
	__u32 gen;		/* 0 = free; odd: it is being given to another use, and nothing in it holds */
	__u32 users;		/* programs that add to it at this moment */
	__u32 takers;		/* programs that want to change what it stands for, or to add a status */
	__u16 port;		/* the client's, of the last use */
	__u16 pad_;
	__u64 ports;		/* how often it was another one than before */
	__u64 key[2];		/* keyed hash of what the uses have in common */
	__u64 last_ns;		/* CLOCK_BOOTTIME of the last use */
	__u64 uses;		/* after the first, which is a record of its own */
	__u64 unsent;		/* of them, withdrawn: as TT_STATUS_UNSENT */
	struct tt_row_status status[TT_ROW_STATUSES];
	struct tt_ev_use use;	/* the first */
};
_Static_assert(sizeof(struct tt_row) == 64 + TT_ROW_STATUSES * 24 + 656, "bump TT_ABI");

/* As the row was at its end. Its header has neither process nor connection. */
struct tt_ev_row {
	struct tt_ev_hdr h;
	__u32 row;		/* its number; its generation is now one more than `was` says */
	__u32 pad_;
	struct tt_row was;
};
_Static_assert(sizeof(struct tt_ev_row) == 112 + 8 + sizeof(struct tt_row), "bump TT_ABI");

/* What an agent has taken from each row: array `row_marks`, which it alone writes, and which the next agent finds.
 * The last one is no row's but struct tt_ledger. */
struct tt_row_mark {
	__u32 gen;		/* odd: of the generation before it all was taken */
	__u32 pad_;
	__u64 count[TT_ROW_STATUSES];	/* of each status */
	__u64 given;		/* uses handed on, with or without a status */
	__u64 ports;
	__u64 after_ns;		/* CLOCK_BOOTTIME: what is still to be handed on was not made before; 0 = not known */
	__u64 look_ns, look_uses;	/* at a look there were so many uses, not all of them handed on since */
};
_Static_assert(sizeof(struct tt_row_mark) == 8 + TT_ROW_STATUSES * 8 + 40, "bump TT_ABI");

/* Uses that the agent that runs was given, and those of them that it has written out or that were none: when it dies,
 * the others are lost, and the monitor counts them. */
struct tt_ledger {
	__u64 taken, settled;
	__u64 pad_[10];
};
_Static_assert(sizeof(struct tt_ledger) == sizeof(struct tt_row_mark), "they lie in one array");

/* ---- requests for tokens ---- */

#define TT_MINT_CREDS_MAX 8	/* power of two */
#define TT_MINT_TEXT_LEN 512	/* power of two */

/* What a member of a body is. */
enum tt_mint_what {
	TT_MINT_TOKEN = 1,		/* a credential: only its fingerprint travels */
	TT_MINT_TEXT = 2,		/* public; a word that may be a secret is replaced by "{...}" */
	TT_MINT_KEY_ID = 3,		/* public: at most 24 of A-Z and 0-9 */
	TT_MINT_MESSAGE = 4,		/* protobuf: has members of its own */
};

enum { TT_MINT_REQUEST = 1, TT_MINT_ANSWER = 2 };

/* tt_ev_mint.flags */
#define TT_MINT_WHOLE 1		/* the body was read to its end */
#define TT_MINT_COMPRESSED 2	/* it is compressed, or no text: not read */
#define TT_MINT_INCOMPLETE 4	/* it ended early, or bytes of it were missed or too many */
#define TT_MINT_BAD 8		/* from somewhere on it was not what it began as; what came before stands */
#define TT_MINT_BAD_VALUE 16	/* a credential in it could not be read */
#define TT_MINT_TEXT_CUT 32	/* a text was too long and is left out */
#define TT_MINT_MORE 64		/* more credentials than fit */

struct tt_mint_cred {
	__u64 token[2];			/* as in struct tt_cred */
	__u32 length;
	__u16 class_id;
	__u8 member;			/* row of the table of members (tokens/mints.tsv) */
	__u8 flags;
};
_Static_assert(sizeof(struct tt_mint_cred) == 24, "bump TT_ABI");

struct tt_ev_mint {
	struct tt_ev_hdr h;		/* conn and seq as in the request's head (struct tt_ev_use) */
	__u8 part;			/* TT_MINT_REQUEST, TT_MINT_ANSWER */
	__u8 rule;			/* row of the table of rules (tokens/mints.tsv) */
	__u8 flags;			/* TT_MINT_* */
	__u8 creds;
	__u16 status;			/* of an answer */
	__u16 text_len;
	__u32 bytes;			/* of the body */
	__u8 dir;			/* enum tt_dir: of the request */
	__u8 pad_[3];
	struct tt_mint_cred cred[TT_MINT_CREDS_MAX];
	__u8 text[TT_MINT_TEXT_LEN];	/* each: row of a member, length, bytes; zero behind the last */
};
_Static_assert(sizeof(struct tt_ev_mint) == 112 + 16 + 8 * 24 + 512, "bump TT_ABI");

/* ---- tables that the monitor fills ---- */

/* How a head tells a request for a token: array `mint_rules`. Words hold bytes of text, first byte lowest. */
struct tt_mint_rule {
	__u64 prefix[4], prefix_mask[4];	/* of the path */
	__u64 suffix[4], suffix_mask[4];
	__u64 host[2], host_mask[2];		/* the Host field begins so */
	__u8 prefix_len, suffix_len, host_len;
	__u8 methods;			/* TT_MINT_GET, ... */
	__u8 exact;			/* nothing stands between prefix and suffix */
	__u8 plain;			/* member that a body which is only a token stands for, or 0 */
	__u8 request_set, answer_set;	/* of members */
};
_Static_assert(sizeof(struct tt_mint_rule) == 168, "bump TT_ABI");
#define TT_MINT_GET 1
#define TT_MINT_POST 2
#define TT_MINT_PUT 4
#define TT_MINT_DELETE 8
#define TT_MINT_RULES_MAX 64

/* Hash `mint_keys`: the first eight bytes of a path, or its last six (TT_MINT_KEY_END) -> rules to try. */
#define TT_MINT_KEY_END (0xffULL << 56)
#define TT_MINT_KEY_RULES 8
struct tt_mint_key_val {
	__u8 rule[TT_MINT_KEY_RULES];	/* 0 = no more */
};

/* Hash `mint_members`. */
struct tt_mint_member_key {
	__u64 hash;			/* of the names on the way to the member: tt_name_mix() of each one's hash */
	__u64 set;
};
struct tt_mint_member_val {
	__u16 id;
	__u8 what;			/* enum tt_mint_what */
	__u8 pad_[5];
};

/* LPM trie `classes`: key = prefix bits of the unwrapped credential, value = the rows of `class_rows` to
 * try, in this order. The empty prefix has those that are told without one. */
struct tt_class_key {
	__u32 prefix_bits;		/* struct bpf_lpm_trie_key */
	__u8 prefix[TT_PREFIX_LEN];
};
struct tt_class_val {
	__u16 rows;
	__u16 sure;			/* no row from here on is TT_CLASS_SURE */
	__u16 row[TT_CLASS_TRIES];
};
/* Array `class_rows`: row = class id. What a credential of this class looks like. */
struct tt_class_row {
	__u64 allow[2];			/* bit per ASCII character that may stand behind the prefix */
	__u16 min_len, max_len;		/* of the whole credential */
	__u8 prefix_len;
	__u8 dots;			/* so many '.' in all, plus 1; 0 = does not matter */
	__u8 checksum;			/* enum tt_checksum */
	__u8 flags;			/* TT_CLASS_* */
	__u8 at[TT_CLASS_MARKS];	/* positions, 0 = none */
	__u8 is[TT_CLASS_MARKS];	/* what stands there */
};
_Static_assert(sizeof(struct tt_class_row) == 32, "bump TT_ABI");
/* Array `path_rules`: a segment of a path that is a secret; row 0: any segment that looks like one. The path
 * begins with `prefix`, the segment follows `suffix` and begins with `lead`, which is no part of the secret. Rules
 * whose paths have the same first bytes are neighbours; `names` (TT_NAME_ROUTE) has the first one. */
struct tt_path_rule {
	__u64 prefix[TT_PATH_WORDS], prefix_mask[TT_PATH_WORDS];
	__u64 suffix[TT_PATH_WORDS], suffix_mask[TT_PATH_WORDS];
	__u64 lead, lead_mask;
	__u16 carrier;
	__u16 class_id[TT_PATH_CLASSES];	/* rows of `class_rows`; 0 = no more */
	__u8 depth;				/* how many '/' there are in front of the segment */
	__u8 prefix_len, suffix_len, lead_len;
	__u8 pad_[2];
};
_Static_assert(sizeof(struct tt_path_rule) == 16 * TT_PATH_WORDS * 2 + 16 + 16, "bump TT_ABI");
enum tt_checksum {
	TT_CHECKSUM_NONE,
	TT_CHECKSUM_CRC32B62,		/* the last 6 are CRC-32 of what is between prefix and them, base 62 */
};
#define TT_CLASS_SURE 1			/* told by a prefix of its own: a path segment like it is a credential */
#define TT_CLASS_PUBLIC 2		/* no secret: its text may travel (tt_ev_use.public_id) */
#define TT_CLASS_ALIKE 4		/* in an answer: one of the first kind, but for its characters */

/* Hash `names`: key = tt name hash (readers/fields.h) of a header, parameter or scheme name. */
enum tt_name_space {
	TT_NAME_HEADER = 1,
	TT_NAME_PARAM = 2,
	TT_NAME_SCHEME = 3,
	TT_NAME_STATIC = 4,		/* a name of HPACK's static table: hash = its index, length = 0 */
	TT_NAME_PATH = 5,		/* never in the table: a place that has no name */
	TT_NAME_ROUTE = 9,		/* how paths begin that have a secret in them: hash = the first bytes, length = 0 */
	TT_NAME_COOKIE = 6,
	TT_NAME_SET_COOKIE = 7,		/* a session cookie that an answer sets */
	TT_NAME_AUTH_PARAM = 8,		/* a parameter behind a scheme: hash = its name's, mixed with the scheme's */
	TT_NAME_SUFFIX = 10,		/* what a header's name that is not in the table ends in */
	TT_NAME_SUBPROTOCOL = 11,	/* of WebSocket: the beginning of one with a credential in it, or one in front of it */
};
enum tt_unwrap {
	TT_UNWRAP_WHOLE = 1,		/* the whole value, blanks and one pair of quotes trimmed */
	TT_UNWRAP_SCHEME = 2,		/* Authorization style: [scheme SP] value */
	TT_UNWRAP_PERCENT = 3,		/* query parameter: percent-decoded once */
	TT_UNWRAP_BASIC = 4,		/* a scheme whose value is base64(user:password) */
	TT_UNWRAP_NONE = 5,		/* no credential, whatever it looks like */
	/* Schemes with a MAC of this one request: the id of the key that made it is the credential. */
	TT_UNWRAP_KEY = 6,		/* the value of a parameter, ... */
	TT_UNWRAP_USER = 7,		/* ... which names a person: its text never travels */
	TT_UNWRAP_ACCOUNT = 8,		/* what stands before the first ':' */
	TT_UNWRAP_PARAM = 9,		/* a scheme whose credential is the value of a parameter, percent-decoded once */
	TT_UNWRAP_PAIR = 10,		/* a scheme whose value may be base64(id:key): then the key, else the whole */
	TT_UNWRAP_KEY_ID = 11,		/* query parameter: as PERCENT, up to the first '/': an access key id and
					 * what it is for */
	TT_UNWRAP_SUBPROTOCOL = 14,	/* a list of WebSocket subprotocols, one of which may be a credential */
	TT_UNWRAP_BASE64URL = 12,	/* of a subprotocol: what follows, decoded */
	TT_UNWRAP_NEXT = 13,		/* of a subprotocol: the next one */
};
struct tt_name_key {
	__u64 hash;
	__u32 space;			/* enum tt_name_space */
	__u32 length;			/* of the name, bytes */
};
struct tt_name_val {
	__u16 id;			/* carrier row, or scheme row for TT_NAME_SCHEME */
	__u8 unwrap;			/* enum tt_unwrap, or enum tt_control (readers/fields.h) */
	__u8 length;			/* TT_NAME_STATIC: of the name; TT_NAME_ROUTE: so many rules; TT_NAME_PARAM,
					 * TT_NAME_COOKIE: 1 = at some hosts only it is a credential */
	__u8 pad_[4];
};

/* ---- tables that the monitor reads ---- */

/* Key of `cover_procs`. */
struct tt_cover_key {
	__u64 start_ns;			/* as in tt_ev_hdr */
	__u32 tgid;
	__u32 pad_;
};

/* Row of `cover_procs`: what struct tt_ipc_cover (ipc.h) says of a process. [0] sent, [1] received. */
struct tt_cover_row {
	__u64 cgroup;
	__u64 exec_ns;
	__u64 first_tls_ns, first_call_ns;
	__u64 wire[2];
	__u64 plain[2];
	__u64 loose[2];			/* of plain, what could not be placed on a socket */
	__s64 covered[2];		/* of wire, on sockets whose plaintext was seen */
	__u32 uid;
	__u32 sockets, blind_sockets;
	__u32 flags;			/* TT_COVER_* */
	__u32 called;			/* libraries whose calls were seen: 1 << enum tt_tls */
	__u32 pad_;
	__u8 comm[TT_COMM_LEN];
};
_Static_assert(sizeof(struct tt_cover_row) == 136, "the monitor reads other offsets than the kernel writes");

#define TT_COVER_CLIENT 1	/* sent a ClientHello */
#define TT_COVER_SERVER 2	/* received one */
#define TT_COVER_MIDDLE 4	/* a TLS connection that was open before the sensor came */
#define TT_COVER_IO_URING 8	/* uses sockets through io_uring */
#define TT_COVER_LEFT 32	/* include and exclude leave it alone (ipc.h only) */
#define TT_COVER_ENDED 16	/* the process is gone; nothing more will come (ipc.h only) */

/* Value of `execs`, whose key is a tgid. */
struct tt_exec {
	__u64 start_ns;			/* of the process */
	__u64 exec_ns;			/* its last execve(2) */
};

/* ---- include and exclude: bpf/filter.bpf.h ---- */

enum tt_filter_verdict {
	TT_FILTER_UNKNOWN = 0,		/* not decided (yet): nothing is read */
	TT_FILTER_WATCH = 1,
	TT_FILTER_LEAVE = 2,
};

/* The word `filter_now`: what is decided by, and a number for each configuration. */
#define TT_FILTER_SIDE 1u		/* the number's lowest bit: index of tt_filter_row.verdict */
#define TT_FILTER_NUMBER(n) ((__u32)(n) << 8 | ((n) & 1))
#define TT_FILTER_BY_EXE 2u
#define TT_FILTER_BY_CGROUP 4u
#define TT_FILTER_LEARN 8u		/* what processes run is noted: they are about to be decided by it */

#define TT_FILTER_EXES 1024
#define TT_FILTER_CGROUPS 4096

/* Value of `filter_exes`, whose key is one of an executable's path, and `filter_cgroups`, whose key is a cgroup's id. */
struct tt_filter_row {
	__u64 asked_ns;			/* CLOCK_BOOTTIME; 0 = never */
	__u8 verdict[2];		/* enum tt_filter_verdict: of this configuration and the next */
	__u8 pad_[6];
};
_Static_assert(sizeof(struct tt_filter_row) == 16, "bump TT_ABI");

/* In the key of an executable: the monitor made it, of a path that it read in /proc. */
#define TT_FILTER_TOLD (1ULL << 63)

/* Value of `filter_procs`, whose key is a tgid. */
struct tt_filter_proc {
	__u64 start_ns;			/* of the process; where the key is TT_FILTER_TOLD, to a tick */
	__u64 exe;			/* key of `filter_exes` */
	__u64 known;			/* filter_now << 32 | verdict, once there is one */
};
_Static_assert(sizeof(struct tt_filter_proc) == 24, "bump TT_ABI");

/* Record of `filter_asks`: what has no verdict. */
#define TT_FILTER_ASK_EXE 1
#define TT_FILTER_ASK_CGROUP 2
#define TT_FILTER_PARTS 32		/* of an executable's path: names and mounts */
#define TT_FILTER_NAME_LEN 128
#define TT_FILTER_ASKS_BYTES (128 * 1024)

struct tt_filter_ask {
	__u64 id;			/* key of `filter_exes`, or of `filter_cgroups` */
	__u32 tgid;			/* who runs it, or is in it */
	__u8 kind;			/* TT_FILTER_ASK_* */
	__u8 parts;			/* of an executable's path, */
	__u8 cut;			/* 1 = not all of it, which tells nothing */
	__u8 pad_;
	__u8 part[TT_FILTER_PARTS][TT_FILTER_NAME_LEN];	/* from the last to the first; "" = none */
};
_Static_assert(sizeof(struct tt_filter_ask) == 16 + TT_FILTER_PARTS * TT_FILTER_NAME_LEN, "bump TT_ABI");

/* Reasons for not reporting: index of the per-CPU array `drops`; include/tokentrail/drops.def */
enum tt_drop {
	TT_DROP_NONE = 0,
#define TT_DROP(id, name, help) TT_DROP_##name = id,
#include "drops.def"
#undef TT_DROP
	TT_DROP_MAX = 64,		/* size of the array; ids stay below */
};

#endif
