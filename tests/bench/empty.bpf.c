/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that do nothing: what a probe costs before any work is done in it. */
#define SEC(name) __attribute__((section(name), used))

char LICENSE[] SEC("license") = "Dual BSD/GPL";

int empty_in(void *ctx);
int empty_out(void *ctx);
int empty_send(void *ctx);
int empty_recv(void *ctx);

SEC("uprobe")
int empty_in(void *ctx)
{
	return 0;
}

SEC("uretprobe")
int empty_out(void *ctx)
{
	return 0;
}

SEC("raw_tracepoint")
int empty_send(void *ctx)
{
	return 0;
}

SEC("raw_tracepoint")
int empty_recv(void *ctx)
{
	return 0;
}
