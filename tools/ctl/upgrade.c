/* SPDX-License-Identifier: Apache-2.0
 * xtcpctl: upgrade. The binary is opened here and handed over, so what is checked and what runs is this file and no other. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

#define PATIENCE_MS 60000 /* the keeper's is shorter: it always answers */

/* "ok PID", or why not. */
static int take_answer(int fd)
{
    char text[1024];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) <= 0)
        return ctl_fail(CTL_FAILED, "xtcpd's keeper does not answer");
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return ctl_fail(CTL_FAILED, "not upgraded: xtcpd's keeper has ended");
    text[n] = 0;
    if (strncmp(text, "ok ", 3) != 0)
        return ctl_fail(CTL_FAILED, "not upgraded: %s", text);
    printf("upgraded: the stack process is %s now\n", text + 3);
    return CTL_OK;
}

static int ask(int daemon, const char *path, int binary)
{
    char request[PATH_MAX + 64];
    struct xt_msg_out o;
    json_object *reply;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return ctl_fail(CTL_FAILED, "socketpair: %s", strerror(errno));
    int fds[] = {binary, pair[1]};
    xt_msg_begin(&o, request, sizeof request);
    xt_msg_str(&o, "op", "upgrade");
    if (path)
        xt_msg_str(&o, "path", path);
    int rc = path ? ctl_ask_with(daemon, &o, fds, 2, &reply) : ctl_ask_with(daemon, &o, fds + 1, 1, &reply);
    close(pair[1]);
    if (rc == CTL_OK) {
        json_object_put(reply);
        rc = take_answer(pair[0]);
    }
    close(pair[0]);
    return rc;
}

int ctl_cmd_upgrade(const struct ctl_options *opt, int argc, char **argv)
{
    char path[PATH_MAX];
    int binary = -1;
    if (argc > 1)
        return ctl_fail(CTL_USAGE, "upgrade takes one binary");
    if (argc && (!realpath(argv[0], path) || (binary = open(path, O_RDONLY | O_CLOEXEC)) < 0))
        return ctl_fail(CTL_FAILED, "not upgraded: cannot open %s: %s", argv[0], strerror(errno));
    int daemon = ctl_connect(opt);
    int rc = daemon < 0 ? CTL_NO_DAEMON : ask(daemon, argc ? path : NULL, binary);
    if (daemon >= 0)
        close(daemon);
    if (binary >= 0)
        close(binary);
    return rc;
}
