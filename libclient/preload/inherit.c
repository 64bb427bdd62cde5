/* SPDX-License-Identifier: Apache-2.0
 * Descriptors beyond this library's reach: over exec, on the standard descriptors that libc's own stdio uses, in programs
 * that are not interposed. They are exported ends (xtcp_export): kernel descriptors whose bytes the daemon relays. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "libclient/preload/both.h"
#include "libclient/preload/preload.h"

#define PREFIX "xtcp/"
#define EXEC_MAX 256u /* descriptors handed on at most */

/* ---- in the process that has the rings ---- */

/* Beneath `fd` comes something else than a placeholder: its number is not to be kept. False: it is another thread's by now. */
static bool no_more_plain(int fd, uint64_t w)
{
    uint64_t now = xp_get(fd);
    while (xp_kind(now) == XP_XTCP && xp_ctxno(now) == xp_ctxno(w) && xp_value(now) == xp_value(w))
        if (xp_swap(fd, &now, now & ~(uint64_t)XP_F_PLAIN))
            return true;
    return false;
}

/* Puts the end `a` under `fd`, keeping the descriptor's flag. */
static bool put_end(int fd, int a)
{
    int flags = xp_real.fcntl(fd, F_GETFD);
    return xp_real.dup3(a, fd, flags >= 0 && flags & FD_CLOEXEC ? O_CLOEXEC : 0) >= 0;
}

void xp_go_over(uint64_t w)
{
    XP_NO_CANCEL();
    if (xp_half(w) >= 0) {
        xp_half_only(w);
        return;
    }
    int saved = errno, a = xtcp_export(xp_x(w), xp_sock(w), true, -1);
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        uint64_t v = xp_get(fd);
        if (xp_kind(v) != XP_XTCP || xp_ctxno(v) != xp_ctxno(w) || xp_value(v) != xp_value(w) || !no_more_plain(fd, v))
            continue;
        if (!(xp_flags(v) & XP_F_PAIR) && a >= 0)
            put_end(fd, a);
        xp_async_leave(fd, v);
        xp_put(fd, xp_word(XP_RELAY, xp_ctxno(v), xp_flags(v) & ~(unsigned)(XP_F_PAIR | XP_F_INSET | XP_F_PLAIN),
                           xp_value(v)));
        if (xp_in_set(v))
            xp_sets_relayed(fd);
        xp_debug("fd %d: relayed (xtcp socket %d)", fd, xp_sock(w));
    }
    if (a >= 0)
        xp_disown(a);
    errno = saved;
}

static bool is_connected(uint64_t w)
{
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    return xtcp_alive(xp_x(w)) && xtcp_getpeername(xp_x(w), xp_sock(w), (struct sockaddr *)&in, &len) == 0;
}

void xp_expose(int fd)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w) && is_connected(w))
        xp_go_over(w);
}

/* Listening, or about to: node's workers are given bound sockets and listen themselves. */
static bool is_bound(uint64_t w)
{
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    return xtcp_alive(xp_x(w)) && xtcp_getsockname(xp_x(w), xp_sock(w), (struct sockaddr *)&in, &len) == 0 &&
           in.sin_port != 0;
}

/* Makes the descriptor one that the next program can use, should it want to. */
static void hand_on(int fd, uint64_t w)
{
    int a;
    if (xp_flags(w) & XP_F_PAIR || !xtcp_alive(xp_x(w)))
        return;
    a = xtcp_export(xp_x(w), xp_sock(w), false, xp_half(w));
    if (a < 0)
        return;
    if (no_more_plain(fd, w) && put_end(fd, a))
        xp_set_flags(fd, XP_F_PAIR);
    xp_disown(a);
}

void xp_confined(void)
{
    uint64_t w;
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        if (!xp_is_xtcp(fd, &w) || !is_connected(w))
            continue;
        hand_on(fd, w);
        if (xp_flags(xp_get(fd)) & XP_F_PAIR)
            xp_go_over(w);
    }
}

int xp_before_exec(void)
{
    unsigned n = 0;
    int top = 0, saved = errno;
    xp_kept_drop(); /* those that would stay open in it */
    xp_bare_make_all(true);
    for (int fd = xp_next(0); fd >= 0 && n < EXEC_MAX; fd = xp_next(fd + 1)) {
        uint64_t w = xp_get(fd);
        int flags;
        if ((xp_kind(w) != XP_XTCP && xp_kind(w) != XP_RELAY) || (flags = xp_real.fcntl(fd, F_GETFD)) < 0 ||
            flags & FD_CLOEXEC)
            continue;
        n++;
        if (fd > 2)
            top = fd + 1;
        if (xp_kind(w) != XP_XTCP || xp_bystander)
            continue;
        if (fd <= 2)
            xp_expose(fd);
        w = xp_get(fd);
        if (xp_kind(w) == XP_XTCP && (is_connected(w) || is_bound(w)))
            hand_on(fd, w);
    }
    errno = saved;
    return top;
}

/* ---- in the program that got them ---- */

/* The name of the other end, without its NUL; false: not one of xtcp's. */
static bool name_of(int fd, char out[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
    struct sockaddr_un un = {0};
    socklen_t len = sizeof un;
    if (xp_real.getpeername(fd, (struct sockaddr *)&un, &len) < 0 || un.sun_family != AF_UNIX ||
        len <= offsetof(struct sockaddr_un, sun_path) + 1 || un.sun_path[0] ||
        strncmp(un.sun_path + 1, PREFIX, sizeof PREFIX - 1) != 0)
        return false;
    size_t n = len - offsetof(struct sockaddr_un, sun_path) - 1;
    memcpy(out, un.sun_path + 1, n);
    out[n] = 0;
    return true;
}

int xp_relay_name(int fd, bool remote, struct sockaddr_in *out)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)], l[32], r[32], kind;
    unsigned b[4] = {0}, port = 0;
    if (!name_of(fd, name))
        return -ENOTCONN;
    if (sscanf(name, PREFIX "%*u/%*x/%c/%31[^/]/%31s", &kind, l, r) != 3)
        return -EPROTO;
    if (remote && kind == 'l')
        return -ENOTCONN;
    const char *text = remote ? r : l;
    if (sscanf(text, "%u.%u.%u.%u:%u", &b[0], &b[1], &b[2], &b[3], &port) != 5 && sscanf(text, "*:%u", &port) != 1)
        return -EPROTO;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    out->sin_addr.s_addr = htonl(b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]);
    return 0;
}

void xp_claim(int fd)
{
    XP_NO_CANCEL();
    uint64_t w = xp_get(fd);
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
    uint64_t ours;
    int saved = errno, rc;
    if (xp_kind(w) == XP_KEPT) {
        xp_kept_close(fd);
        return;
    }
    if (xp_kind(w) == XP_UNDECIDED) {
        xp_bare_make(fd);
        return;
    }
    xp_put(fd, w & ~(uint64_t)XP_F_CLAIM);
    if (xp_kind(w) == XP_EPOLL) {
        xp_set_claim(fd);
        errno = saved;
        return;
    }
    ours = xp_join(fd);
    if (ours) {
        xp_ref(xp_ctxno(ours), xp_value(ours));
        xp_put(fd, ours | XP_F_PAIR);
        xp_debug("fd %d: inherited (xtcp socket %d)", fd, xp_sock(ours));
    } else if (name_of(fd, name) && !strstr(name, "/l/")) {
        rc = xtcp_claim(NULL, fd);
        xp_debug("fd %d: inherited (%s)", fd, rc < 0 ? strerror(-rc) : "relayed");
    }
    xp_sets_claimed(fd);
    errno = saved;
}

void xp_claim_all(bool listeners)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
    for (int fd = xp_next(0); fd >= 0; fd = xp_next(fd + 1)) {
        uint64_t w = xp_get(fd);
        if (xp_kind(w) == XP_RELAY && xp_flags(w) & XP_F_CLAIM && name_of(fd, name) &&
            (!listeners || strstr(name, "/l/")))
            xp_claim(fd);
    }
}

/* The standard descriptors are relayed already; others only from their first use, for most are inherited by mistake and the
 * parent goes on using them. */
__attribute__((constructor)) static void look_at_inherited(void)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *s = getenv("XTCP_FDS");
    const char *file = s ? strchr(s, ':') : NULL;
    int top = s ? atoi(s) : 0, saved = errno;
    for (int fd = 0; fd < 3 || (fd < top && (unsigned)fd < XP_FDS); fd++)
        if (xp_kind(xp_get(fd)) == XP_KERNEL && name_of(fd, name))
            xp_put(fd, xp_word(XP_RELAY, XP_CTX_NONE, fd < 3 ? 0 : XP_F_CLAIM, 0));
    if (file)
        xp_sets_inherited(atoi(file + 1));
    errno = saved;
}

/* ---- SCM_RIGHTS ---- */

static void each_passed(const struct msghdr *msg, void (*fn)(int fd))
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR((struct msghdr *)msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len < CMSG_LEN(0))
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            fn(fd);
        }
    }
}

static void pass(int fd)
{
    uint64_t w;
    if (xp_is_xtcp(fd, &w))
        hand_on(fd, w);
    else
        xp_set_before_send(fd);
}

void xp_before_send(const struct msghdr *msg)
{
    XP_NO_CANCEL();
    int saved = errno;
    each_passed(msg, pass);
    errno = saved;
}

static void receive(int fd)
{
    char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
    if ((unsigned)fd >= XP_FDS || xp_bystander)
        return;
    if (name_of(fd, name))
        xp_put(fd, xp_word(XP_RELAY, XP_CTX_NONE, XP_F_CLAIM, 0));
    else
        xp_adopt(fd);
}

void xp_after_receive(const struct msghdr *msg)
{
    XP_NO_CANCEL();
    int saved = errno;
    each_passed(msg, receive);
    errno = saved;
}
