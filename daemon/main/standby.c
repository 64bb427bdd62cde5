/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/standby.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/app/app.h"
#include "daemon/main/keeper.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout.h"
#include "proto/xt_msg.h"

int xt_standby_feed(void)
{
    const char *text = getenv(XT_ENV_STANDBY);
    int fd = text ? (int)strtol(text, NULL, 10) : -1;
    unsetenv(XT_ENV_STANDBY);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

/* What the regions of the clients speak is written where they only read. */
static int check_interface(int global, char *err, size_t errlen)
{
    struct xt_global g = {0};
    if (pread(global, &g, sizeof g, 0) == (ssize_t)sizeof g && g.magic == XT_REGION_MAGIC && g.abi == XT_ABI_VERSION)
        return 0;
    snprintf(err, errlen, "the programs speak interface version %u, this xtcpd %u", g.abi, XT_ABI_VERSION);
    return -EPROTO;
}

int xt_standby_check(struct xt_handed *h, uint32_t max_conns, uint32_t shards, char *err, size_t errlen)
{
    const char *name;
    unsigned cursor = 0;
    int state = xt_handed_peek(h, "state");
    if (state < 0) {
        snprintf(err, errlen, "no connections are kept");
        return -EPROTO;
    }
    int whose = xt_layout_check(XT_LAYOUT_STATE, state, err, errlen); /* first, for the size goes by it */
    int rc = whose < 0 ? whose : 0;
    if (rc == 0)
        rc = xt_kept_check(state, xt_layout_state_size(whose, max_conns, shards), err, errlen);
    if (rc == 0)
        rc = check_interface(xt_handed_peek(h, "global"), err, errlen);
    while (rc >= 0 && (name = xt_handed_next(h, XT_KEEP_LEDGER, &cursor)))
        rc = xt_layout_check(XT_LAYOUT_LEDGER, xt_handed_peek(h, name), err, errlen);
    return rc < 0 ? rc : 0;
}

static int follow(struct xt_handed *h, char *text, struct xt_msg_anc *anc)
{
    const char *name = strstr(text, "FDNAME=");
    if (anc->cut)
        return -EMFILE;
    if (!name)
        return 0;
    name += strlen("FDNAME=");
    if (strncmp(text, "FDSTORE=1", 9) == 0 && anc->nfds == 1) {
        int fd = anc->fd[0];
        anc->fd[0] = -1;
        return xt_handed_add(h, name, fd);
    }
    xt_handed_drop(h, name);
    return 0;
}

int xt_standby_wait(int feed, struct xt_handed *h)
{
    char text[XT_FDSTORE_NAME_MAX + 64];
    struct xt_msg_anc anc;
    xt_notify(XT_SAY_STANDBY);
    for (;;) {
        ssize_t n = xt_msg_recv(feed, text, sizeof text - 1, &anc, 0);
        if (n <= 0)
            return n < 0 ? (int)n : -ECANCELED;
        text[n] = 0;
        if (strcmp(text, "GO=1") == 0)
            return 0;
        int rc = follow(h, text, &anc);
        xt_msg_anc_close(&anc);
        if (rc < 0)
            return rc;
    }
}
