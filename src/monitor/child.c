/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "ipc/chan.h"
#include "ipc/spawn.h"

#define PAUSE_FIRST_NS 100000000ULL
#define PAUSE_MAX_NS 10000000000ULL
#define HEALTHY_NS 60000000000ULL /* after this long the next death counts as the first */
#define HELLO_NS 20000000000ULL
#define EXIT_WRONG 2 /* the agent's own word for "another try will not help" */
#define EXIT_CANT 3

int child_start(struct child *child, struct bpf_sensor *sensor, const struct agent_params *params,
		const struct config *config, uint64_t now_ns)
{
	_cleanup_close_ int blob = -EBADF, mine = -EBADF, its = -EBADF;
	struct spawn_fds fds;
	int pair[2], r;

	r = blob_write(params, config, &blob);
	if (r < 0)
		return r;
	r = chan_pair(pair);
	if (r < 0)
		return r;
	mine = pair[0];
	its = pair[1];
	fds = (struct spawn_fds){its, blob, bpf_sensor_ring_fd(sensor), bpf_sensor_rows_fd(sensor),
				 bpf_sensor_marks_fd(sensor)};
	r = spawn_agent(&fds, &child->pid, &child->pidfd);
	if (r < 0)
		return r;
	child->channel = TAKE_FD(mine);
	child->hello = child->killed = false;
	child->started_ns = now_ns;
	child->lost_ns = 0;
	child->restart_ns = 0;
	r = bpf_sensor_skip(sensor, (uint32_t)child->pid, true);
	if (r < 0)
		child_kill(child, "the agent can't be exempted from watching");
	return 0;
}

static void log_end(const struct child *child, int status)
{
	if (WIFSIGNALED(status))
		log_warning("the agent was ended by a signal; it is started again signal=%d pid=%d",
			    WTERMSIG(status), (int)child->pid);
	else
		log_warning("the agent ended by itself; it is started again status=%d pid=%d",
			    WEXITSTATUS(status), (int)child->pid);
}

static void plan_next(struct child *child, uint64_t now_ns)
{
	if (child->pause_ns == 0 || now_ns - child->started_ns > HEALTHY_NS)
		child->pause_ns = PAUSE_FIRST_NS;
	else
		child->pause_ns *= 2;
	if (child->pause_ns > PAUSE_MAX_NS)
		child->pause_ns = PAUSE_MAX_NS;
	child->restart_ns = now_ns + child->pause_ns;
}

enum child_end child_ended(struct child *child, struct bpf_sensor *sensor, bool expected,
			   uint64_t now_ns)
{
	int status = 0;
	bool hopeless;

	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	hopeless = !child->hello && !child->killed && WIFEXITED(status) &&
		   (WEXITSTATUS(status) == EXIT_WRONG || WEXITSTATUS(status) == EXIT_CANT);
	if (!expected && !hopeless) {
		child->deaths++;
		log_end(child, status);
	}
	child->lost_uses += bpf_sensor_take_lost(sensor);
	if (bpf_sensor_skip(sensor, (uint32_t)child->pid, false) < 0)
		log_warning("the ended agent's process id is still exempt from watching");
	closep(&child->pidfd);
	closep(&child->channel);
	child->pid = 0;
	child->pidfd = child->channel = -EBADF;
	child->hello = false;
	plan_next(child, now_ns);
	return hopeless ? CHILD_END_CANT : CHILD_END_DIED;
}

void child_kill(struct child *child, const char *why)
{
	if (child->pid == 0 || child->killed)
		return;
	log_error("%s; ending the agent", why);
	child->killed = true;
	kill(child->pid, SIGKILL);
}

int child_stop(struct child *child)
{
	struct tt_ipc_hdr m;

	chan_stamp(&m, TT_IPC_STOP, sizeof(m));
	return chan_send_wait(child->channel, &m, -1, 1000);
}

bool child_is_stuck(const struct child *child, uint64_t now_ns)
{
	if (child->pid == 0)
		return false;
	if (child->lost_ns && now_ns > child->lost_ns + HELLO_NS)
		return true;
	return !child->hello && now_ns > child->started_ns + HELLO_NS;
}
