/* SPDX-License-Identifier: Apache-2.0
 * The daemon's control socket, from xtcpctl's side. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/xt_ctl.h"
#include "tools/ctl/ctl.h"

#define PATIENCE_S 10

static int explain(const char *path, int err)
{
    if (err == ENOENT || err == ECONNREFUSED)
        ctl_fail(0, "xtcpd does not run at %s: start it, or name its socket with --socket or $XTCP_SOCKET", path);
    else if (err == EACCES)
        ctl_fail(0, "no right to reach %s: ask as root", path);
    else
        ctl_fail(0, "cannot reach xtcpd at %s: %s", path, strerror(err));
    return -1;
}

int ctl_connect(const struct ctl_options *opt)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    if (strlen(opt->socket) >= sizeof sun.sun_path)
        return explain(opt->socket, ENAMETOOLONG);
    strcpy(sun.sun_path, opt->socket);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return explain(opt->socket, errno);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&sun, sizeof sun) < 0) {
        int err = errno;
        close(fd);
        return explain(opt->socket, err);
    }
    return fd;
}

/* {"ok": false} becomes a line on standard error. */
static int check_reply(json_object *reply)
{
    json_object *ok = NULL;
    if (json_object_object_get_ex(reply, "ok", &ok) && json_object_get_boolean(ok))
        return CTL_OK;
    const char *why = ctl_str(reply, "error");
    return ctl_fail(CTL_FAILED, "%s", *why ? why : "xtcpd refused without a reason");
}

int ctl_ask_with(int fd, struct xt_msg_out *o, const int *fds, unsigned nfds, json_object **reply)
{
    static char buf[XT_CTL_MAX];
    struct xt_msg_anc anc;
    ssize_t n = xt_msg_end(o);
    if (n < 0)
        return ctl_fail(CTL_USAGE, "the request is too long");
    int rc = xt_msg_send(fd, o->buf, (size_t)n, fds, nfds, 0);
    if (rc < 0)
        return ctl_fail(CTL_FAILED, "cannot ask xtcpd: %s", strerror(-rc));
    n = xt_msg_recv(fd, buf, sizeof buf, &anc, 0);
    if (n == -EAGAIN)
        return ctl_fail(CTL_FAILED, "xtcpd did not answer within %d s", PATIENCE_S);
    if (n <= 0)
        return ctl_fail(CTL_FAILED, "xtcpd closed the connection%s%s", n < 0 ? ": " : "",
                        n < 0 ? strerror((int)-n) : "");
    xt_msg_anc_close(&anc);
    *reply = ctl_from_msgpack(buf, (size_t)n);
    if (!*reply)
        return ctl_fail(CTL_FAILED, "xtcpd's answer is not understood: are xtcpd and xtcpctl of the same release?");
    rc = check_reply(*reply);
    if (rc != CTL_OK) {
        json_object_put(*reply);
        *reply = NULL;
    }
    return rc;
}

int ctl_ask(int fd, struct xt_msg_out *o, json_object **reply)
{
    return ctl_ask_with(fd, o, NULL, 0, reply);
}

int ctl_ask_once(const struct ctl_options *opt, struct xt_msg_out *o, json_object **reply)
{
    int fd = ctl_connect(opt);
    if (fd < 0)
        return CTL_NO_DAEMON;
    int rc = ctl_ask(fd, o, reply);
    close(fd);
    return rc;
}
