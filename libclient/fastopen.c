/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open (RFC 7413) with the calls, results and errnos of Linux: sending that connects, connecting that waits for the
 * first write, and the options. */
#include <linux/tcp.h>
#include <string.h>

#include "libclient/fastopen.h"

static uint64_t wanted(const struct xt_slot *sl, uint64_t flags)
{
    return flags | XT_CONNECT_FASTOPEN | (sl->misc & XTCP_MISC_FASTOPEN_NO_COOKIE ? XT_CONNECT_NO_COOKIE : 0);
}

uint64_t xtcp_fastopen_connect_flags(const struct xt_slot *sl)
{
    return sl->misc & XTCP_MISC_FASTOPEN_CONNECT ? wanted(sl, 0) : 0;
}

int xtcp_fastopen_go(struct xtcp *x, int s)
{
    struct xtcp_cmd c = {.op = XT_OP_CONNECT, .slot = s, .arg = {XT_CONNECT_GO}};
    return xtcp_call(x, &c);
}

/* The SYN is on its way, `done` bytes with it. */
static ssize_t outcome(struct xtcp *x, int s, struct xt_slot *sl, ssize_t done, int flags)
{
    if (!xtcp_blocking(sl, flags)) {
        atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_CONNECT);
        return done > 0 ? done : -EINPROGRESS;
    }
    int rc = xtcp_finish_connect(x, s, sl, -EINPROGRESS);
    return rc < 0 ? rc : done;
}

ssize_t xtcp_fastopen_send(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, struct xtcp_cmd *c)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    c->op = XT_OP_CONNECT;
    c->slot = s;
    c->arg[0] = wanted(sl, flags & MSG_FASTOPEN ? XT_CONNECT_MUST : 0);
    int room = xtcp_call(x, c);
    if (room == -EALREADY && xtcp_blocking(sl, flags))
        room = 0; /* waits for the connect under way, as Linux does */
    if (room < 0)
        return room;
    atomic_fetch_and(&sl->oflags, ~(uint32_t)(XT_OFLAG_CONNECT | XT_OFLAG_FAILED));
    ssize_t done = room > 0 ? xtcp_put(x, s, sl, iov, n, (size_t)room) : 0;
    if (done < 0)
        return done;
    int rc = room > 0 ? xtcp_fastopen_go(x, s) : 0;
    return rc < 0 ? rc : outcome(x, s, sl, done, flags);
}

XTCP_API ssize_t xtcp_sendto(struct xtcp *x, int s, const struct iovec *iov, int n, int flags,
                             const struct sockaddr *addr, socklen_t alen)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    struct xtcp_cmd c = {0};
    if (!sl)
        return -EBADF;
    if (!(flags & MSG_FASTOPEN))
        return xtcp_sendv(x, s, iov, n, flags);
    if (addr && alen >= sizeof addr->sa_family && addr->sa_family == AF_UNSPEC)
        return -EOPNOTSUPP;
    int rc = atomic_load(&sl->cond) & XT_COND_DEFERRED ? 0 : xtcp_from_sockaddr(addr, alen, &c);
    if (rc == 0 && (rc = xtcp_take_error(sl)))
        rc = xtcp_failed(sl, -rc); /* of the connect before, which nobody has asked for */
    if (rc < 0)
        return rc;
    return xtcp_send_on(x, s, iov, n, flags, xtcp_fastopen_send(x, s, iov, n, flags, &c));
}

/* ---- options ---- */

static int tell(struct xtcp *x, int s, uint32_t opt, int value)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .arg = {opt, (uint64_t)value}};
    return xtcp_call(x, &c);
}

static int set_flag(struct xtcp *x, int s, uint32_t opt, uint32_t bit, int v)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    int rc = v == 0 || v == 1 ? tell(x, s, opt, v) : -EINVAL;
    if (rc == 0)
        sl->misc = v ? sl->misc | bit : sl->misc & ~bit;
    return rc;
}

static int set_keys(struct xtcp *x, int s, const void *val, socklen_t len)
{
    struct xtcp_cmd c = {
        .op = XT_OP_FO_KEYS, .slot = s, .arg = {len / XTCP_FASTOPEN_KEY_LEN}, .in = val, .in_len = len};
    if (len != XTCP_FASTOPEN_KEY_LEN && len != 2 * XTCP_FASTOPEN_KEY_LEN)
        return -EINVAL;
    return xtcp_call(x, &c);
}

bool xtcp_fastopen_setsockopt(struct xtcp *x, int s, int name, const void *val, socklen_t len, int *rc)
{
    int v = 0;
    if (name != TCP_FASTOPEN && name != TCP_FASTOPEN_CONNECT && name != TCP_FASTOPEN_NO_COOKIE &&
        name != TCP_FASTOPEN_KEY)
        return false;
    memcpy(&v, val, len < sizeof v ? len : sizeof v);
    if (name == TCP_FASTOPEN_KEY)
        *rc = set_keys(x, s, val, len);
    else if (len < sizeof v)
        *rc = -EINVAL;
    else if (name == TCP_FASTOPEN)
        *rc = v < 0 ? -EINVAL : tell(x, s, XT_SO_FASTOPEN, v);
    else if (name == TCP_FASTOPEN_CONNECT)
        *rc = set_flag(x, s, XT_SO_FASTOPEN_CONNECT, XTCP_MISC_FASTOPEN_CONNECT, v);
    else
        *rc = set_flag(x, s, XT_SO_FASTOPEN_NO_COOKIE, XTCP_MISC_FASTOPEN_NO_COOKIE, v);
    return true;
}

static int get_keys(struct xtcp *x, int s, void *val, socklen_t *len)
{
    uint8_t keys[2 * XTCP_FASTOPEN_KEY_LEN];
    struct xtcp_cmd c = {.op = XT_OP_FO_KEYS, .slot = s, .data = keys, .data_len = sizeof keys};
    int n = xtcp_call(x, &c);
    if (n < 0)
        return n;
    socklen_t have = (socklen_t)n * XTCP_FASTOPEN_KEY_LEN;
    *len = *len < have ? *len : have;
    memcpy(val, keys, *len);
    return 0;
}

static int get_limit(struct xtcp *x, int s, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    struct xtcp_cmd c = {.op = XT_OP_INFO, .slot = s, .data = &a, .data_len = sizeof a};
    int rc = xtcp_call(x, &c);
    if (rc < 0)
        return rc;
    *len = *len < sizeof a.fo_limit ? *len : (socklen_t)sizeof a.fo_limit;
    memcpy(val, &a.fo_limit, *len);
    return 0;
}

bool xtcp_fastopen_getsockopt(struct xtcp *x, int s, int name, void *val, socklen_t *len, int *rc)
{
    const struct xt_slot *sl = xtcp_slot(x, s);
    uint32_t bit = name == TCP_FASTOPEN_CONNECT     ? XTCP_MISC_FASTOPEN_CONNECT
                   : name == TCP_FASTOPEN_NO_COOKIE ? XTCP_MISC_FASTOPEN_NO_COOKIE
                                                    : 0;
    if (name == TCP_FASTOPEN_KEY) {
        *rc = get_keys(x, s, val, len);
    } else if (name == TCP_FASTOPEN) {
        *rc = get_limit(x, s, val, len);
    } else if (bit) {
        int v = (sl->misc & bit) != 0;
        *len = *len < sizeof v ? *len : (socklen_t)sizeof v;
        memcpy(val, &v, *len);
        *rc = 0;
    } else {
        return false;
    }
    return true;
}
