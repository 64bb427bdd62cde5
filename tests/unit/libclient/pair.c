/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libclient/pair.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>

void pair_start(struct pair *p, const struct xt_app_cfg *cfg)
{
    const struct xt_app_cfg small = {.sndbuf = 65536, .rcvbuf = 65536, .spin_us = 10, .arena = 1u << 30};
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    memset(p, 0, sizeof *p);
    p->a = p->b = -1;
    daemon_start(&p->d, cfg ? cfg : &small);
    int rc = xtcp_attach(&p->x, p->d.path);
    cr_assert_eq(rc, 0, "attach: %d %s", rc, xtcp_strerror_attach());
    cr_assert_geq(p->l = xtcp_socket(p->x), 0);
    cr_assert_eq(xtcp_bind(p->x, p->l, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(xtcp_listen(p->x, p->l, 128), 0);
}

int pair_connect_new(struct pair *p)
{
    struct sockaddr_in at = daemon_addr(PAIR_PORT);
    int s = xtcp_socket(p->x), rc;
    cr_assert_geq(s, 0);
    rc = xtcp_connect(p->x, s, (struct sockaddr *)&at, sizeof at);
    cr_assert_eq(rc, 0, "connect: %d", rc);
    return s;
}

void pair_connect(struct pair *p)
{
    p->a = pair_connect_new(p);
    cr_assert_geq(p->b = xtcp_accept(p->x, p->l, NULL, NULL, 0), 0);
}

/* All of them: a test may have made more clients than one. */
static bool sessions_ended(void *arg)
{
    struct pair *p = arg;
    return daemon_stats(&p->d).sessions == 0;
}

/* The last segments between the two ends may still be on their way when nobody holds them any more. */
static bool connections_ended(void *arg)
{
    struct pair *p = arg;
    return daemon_conns(&p->d, ~(1u << XT_TIME_WAIT | 1u)) == 0;
}

void pair_stop(struct pair *p)
{
    xtcp_detach(p->x);
    cr_assert(daemon_until(sessions_ended, p), "the session was not given back");
    struct xt_app_stats st = daemon_stats(&p->d);
    cr_assert_eq(st.bytes_mapped, 0, "%llu bytes of rings left", (unsigned long long)st.bytes_mapped);
    cr_assert_eq(st.sessions, 0);
    cr_assert_eq(st.liars, 0);
    cr_assert(daemon_until(connections_ended, p), "connections left");
    daemon_stop(&p->d);
    daemon_free(&p->d);
}

static void ignore(void *arg, uint32_t s)
{
}

bool pair_poll(struct pair *p, struct pollfd *pfd)
{
    struct xtcp_waiter *w;
    if (xtcp_waiter_new(p->x, &w) < 0)
        return false;
    xtcp_waiter_sub(w, pfd->fd);
    while (
        !((unsigned)(pfd->revents = (short)xtcp_mask(p->x, pfd->fd)) & ((unsigned)pfd->events | POLLERR | POLLHUP))) {
        if (!xtcp_waiter_prepare(w)) {
            struct pollfd sleep[2] = {{.fd = xtcp_waiter_fd(w), .events = POLLIN}, {.fd = xtcp_control_fd(p->x)}};
            poll(sleep, 2, -1);
        }
        xtcp_waiter_done(w);
        xtcp_waiter_take(w, ignore, NULL);
    }
    xtcp_waiter_free(w);
    return true;
}
