/* SPDX-License-Identifier: Apache-2.0
 * Socket options, with Linux's values and what Linux reads back. Most are kept in the slot; those that the daemon must know
 * go to it as well. */
#include <linux/tcp.h>
#include <string.h>

#include "libclient/internal.h"
#include "libclient/opts.h"

#define LINGER2_MAX 120
#define LINGER2_DEFAULT 60
#define WINDOW_CLAMP_MIN 1152
#define RTO_MAX_S 120

enum rule {
    FLAG,   /* 0 or 1, kept by its bit (flag_of()), sent to the daemon */
    NUMBER, /* min to max, kept by its number (xtcp_opt_kept()), likewise */
    BIT,    /* a flag of slot.misc; but for IP_RECVERR it changes nothing */
    MORE,   /* a flag of slot.more, min to max */
};

static const struct option {
    int level, name;
    enum rule rule;
    uint32_t what; /* enum xt_opt, or the bit */
    int min, max, def;
} options[] = {
    {SOL_SOCKET, SO_KEEPALIVE, FLAG, XT_SO_KEEPALIVE, 0, 0, 0},
    {SOL_SOCKET, SO_OOBINLINE, FLAG, XT_SO_OOBINLINE, 0, 0, 0},
    {SOL_SOCKET, SO_REUSEPORT, BIT, MISC_REUSEPORT, 0, 0, 0},
    {SOL_SOCKET, SO_BROADCAST, BIT, MISC_BROADCAST, 0, 0, 0},
    {SOL_SOCKET, SO_DONTROUTE, BIT, MISC_DONTROUTE, 0, 0, 0},
    {SOL_SOCKET, SO_ZEROCOPY, MORE, MORE_ZEROCOPY, 0, 1, 0},
    {IPPROTO_TCP, TCP_NODELAY, FLAG, XT_SO_NODELAY, 0, 0, 0},
    {IPPROTO_TCP, TCP_CORK, FLAG, XT_SO_CORK, 0, 0, 0},
    {IPPROTO_TCP, TCP_QUICKACK, FLAG, XT_SO_QUICKACK, 0, 0, 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, NUMBER, XT_SO_KEEPIDLE, 1, 32767, 7200},
    {IPPROTO_TCP, TCP_KEEPINTVL, NUMBER, XT_SO_KEEPINTVL, 1, 32767, 75},
    {IPPROTO_TCP, TCP_KEEPCNT, NUMBER, XT_SO_KEEPCNT, 1, 127, 9},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, NUMBER, XT_SO_USER_TIMEOUT, 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_LINGER2, NUMBER, XT_SO_LINGER2, INT32_MIN, INT32_MAX, 60},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, NUMBER, XT_SO_DEFER_ACCEPT, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_SYNCNT, NUMBER, XT_SO_SYNCNT, 1, 127, 6},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, NUMBER, XT_SO_NOTSENT_LOWAT, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, NUMBER, XT_SO_WINDOW_CLAMP, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_IP, IP_TOS, NUMBER, XT_SO_TOS, INT32_MIN, INT32_MAX, 0},
    {IPPROTO_IP, IP_TTL, NUMBER, XT_SO_TTL, 1, 255, 64},
    {IPPROTO_IP, IP_MINTTL, NUMBER, XT_SO_MIN_TTL, 0, 255, 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, BIT, MISC_NO_PORT, 0, 0, 0},
    {IPPROTO_IP, IP_FREEBIND, BIT, MISC_FREEBIND, 0, 0, 0},
    {IPPROTO_IP, IP_TRANSPARENT, BIT, MISC_TRANSPARENT, 0, 0, 0},
    {IPPROTO_IP, IP_RECVTOS, BIT, MISC_RECVTOS, 0, 0, 0},
    {IPPROTO_IP, IP_RECVTTL, BIT, MISC_RECVTTL, 0, 0, 0},
    {IPPROTO_IP, IP_PKTINFO, BIT, MISC_PKTINFO, 0, 0, 0},
    {IPPROTO_IP, IP_RECVERR, BIT, MISC_RECVERR, 0, 0, 0},
    {IPPROTO_IP, IP_MTU_DISCOVER, NUMBER, XT_SO_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT, IP_PMTUDISC_WANT},
};

static const struct option *find(int level, int name)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].level == level && options[i].name == name)
            return &options[i];
    return NULL;
}

/* The bit of slot.more that says that it is not the default. */
static uint32_t flag_of(uint32_t opt)
{
    static const uint16_t bits[XT_SO_MAX] = {
        [XT_SO_KEEPALIVE] = MORE_KEEPALIVE, [XT_SO_OOBINLINE] = MORE_OOBINLINE,  [XT_SO_NODELAY] = MORE_NODELAY,
        [XT_SO_CORK] = MORE_CORK,           [XT_SO_QUICKACK] = MORE_NO_QUICKACK,
    };
    return bits[opt];
}

/* Its place in struct xt_rare. */
static unsigned rare_place(uint32_t opt)
{
    static const uint8_t places[XT_SO_MAX] = {
        [XT_SO_USER_TIMEOUT] = 0, [XT_SO_LINGER2] = 1,      [XT_SO_MAXSEG] = 2,
        [XT_SO_MTU_DISCOVER] = 3, [XT_SO_DEFER_ACCEPT] = 4, [XT_SO_TTL] = 5,
        [XT_SO_SYNCNT] = 6,       [XT_SO_WINDOW_CLAMP] = 7, [XT_SO_MIN_TTL] = XT_RARE_OPTS - 1,
    };
    return places[opt];
}

uint32_t xtcp_opt_kept(const struct xtcp *x, const struct xt_slot *sl, uint32_t opt)
{
    switch (opt) {
    case XT_SO_KEEPIDLE:
        return sl->keep_idle;
    case XT_SO_KEEPINTVL:
        return sl->keep_intvl;
    case XT_SO_KEEPCNT:
        return sl->keep_cnt;
    case XT_SO_TOS:
        return sl->tos;
    case XT_SO_SNDBUF:
        return sl->sndbuf;
    case XT_SO_RCVBUF:
        return sl->rcvbuf;
    case XT_SO_NOTSENT_LOWAT:
        return sl->notsent_lowat;
    default:
        return xtcp_rare(x, sl)->opt[rare_place(opt)];
    }
}

void xtcp_opt_keep(struct xtcp *x, struct xt_slot *sl, uint32_t opt, uint32_t kept)
{
    switch (opt) {
    case XT_SO_KEEPIDLE:
        sl->keep_idle = (uint16_t)kept;
        break;
    case XT_SO_KEEPINTVL:
        sl->keep_intvl = (uint16_t)kept;
        break;
    case XT_SO_KEEPCNT:
        sl->keep_cnt = (uint8_t)kept;
        break;
    case XT_SO_TOS:
        sl->tos = (uint8_t)kept;
        break;
    case XT_SO_SNDBUF:
        sl->sndbuf = kept;
        break;
    case XT_SO_RCVBUF:
        sl->rcvbuf = kept;
        break;
    case XT_SO_NOTSENT_LOWAT:
        sl->notsent_lowat = kept;
        break;
    default:
        if (kept || xtcp_rare(x, sl)->opt[rare_place(opt)])
            xtcp_rare_own(x, sl)->opt[rare_place(opt)] = kept;
    }
}

int xtcp_opt_tell(struct xtcp *x, int s, uint32_t opt, int64_t value)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .arg = {opt, (uint64_t)value}};
    return xtcp_call(x, &c);
}

/* One that the daemon always takes: no answer is waited for. */
static int post(struct xtcp *x, int s, const struct xt_slot *sl, uint32_t opt, int64_t value)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .port = (uint16_t)sl->gen, .arg = {opt, (uint64_t)value}};
    return xtcp_tell(x, &c, true);
}

/* That nobody waits for Nagle's algorithm to let something go is no news while there is nothing unsent. */
static int set_nodelay(struct xtcp *x, int s, struct xt_slot *sl, bool on)
{
    if (on)
        atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_NODELAY);
    else
        atomic_fetch_and(&sl->want, ~(uint32_t)XT_WANT_NODELAY);
    bool empty = atomic_load(&sl->tx_head) == atomic_load(&sl->tx_tail);
    return empty ? 0 : post(x, s, sl, XT_SO_NODELAY, on);
}

static int set_daemons(struct xtcp *x, int s, struct xt_slot *sl, uint32_t opt, int v)
{
    if (opt == XT_SO_NODELAY)
        return set_nodelay(x, s, sl, v);
    return opt == XT_SO_CORK ? post(x, s, sl, opt, v) : xtcp_opt_tell(x, s, opt, v);
}

int xtcp_opt_give(void *val, socklen_t *len, const void *from, size_t n)
{
    n = *len < n ? *len : n;
    memcpy(val, from, n);
    *len = (socklen_t)n;
    return 0;
}

int xtcp_opt_give_int(void *val, socklen_t *len, int v)
{
    return xtcp_opt_give(val, len, &v, sizeof v);
}

/* ---- setting ---- */

/* Linux counts SYN+ACKs that come at 0, 1, 3, 7, ... seconds, and no later than each RTO_MAX_S: TCP_DEFER_ACCEPT ends with one. */
static int retries_to_s(int v)
{
    int end = 0, step = 1;
    for (unsigned n = 0; end < v && n < UINT8_MAX; n++) {
        end += step;
        step = step * 2 > RTO_MAX_S ? RTO_MAX_S : step * 2;
    }
    return end;
}

/* What of a value is kept, as Linux does it. */
static int kept(uint32_t opt, int v)
{
    switch (opt) {
    case XT_SO_TOS:
        return v & 0xff & ~3; /* ECN is not the application's */
    case XT_SO_DEFER_ACCEPT:
        return retries_to_s(v);
    case XT_SO_LINGER2:
        return v < 0 ? -1 : v > LINGER2_MAX ? LINGER2_MAX : v == 0 ? LINGER2_DEFAULT : v;
    case XT_SO_NOTSENT_LOWAT:
        return v < 0 ? -1 : v;
    case XT_SO_WINDOW_CLAMP:
        return v == 0 ? 0 : v < WINDOW_CLAMP_MIN ? WINDOW_CLAMP_MIN : v;
    default:
        return v;
    }
}

static uint32_t as_kept(int v)
{
    return v < 0 ? UINT32_MAX : (uint32_t)v + 1;
}

/* Those that the daemon knows, too. */
static int set_told(struct xtcp *x, int s, struct xt_slot *sl, const struct option *o, int v)
{
    if (o->rule == FLAG)
        v = v != 0;
    else if (o->what == XT_SO_TTL && v == -1)
        v = o->def;
    else if (v < o->min || v > o->max ||
             (o->what == XT_SO_WINDOW_CLAMP && v == 0 && atomic_load(&sl->state) != XT_CLOSED))
        return -EINVAL;
    v = kept(o->what, v);
    if (o->what == XT_SO_NOTSENT_LOWAT)
        xtcp_opt_keep(x, sl, o->what, as_kept(v)); /* before: the daemon tells all who wait to look */
    int rc = set_daemons(x, s, sl, o->what, v);
    if (rc != 0)
        return rc;
    if (o->rule == FLAG)
        xtcp_more(sl, flag_of(o->what), v != o->def);
    else
        xtcp_opt_keep(x, sl, o->what, as_kept(v));
    return 0;
}

static int set_listed(struct xtcp *x, int s, struct xt_slot *sl, const struct option *o, int v)
{
    int rc = 0;
    switch (o->rule) {
    case FLAG:
    case NUMBER:
        return set_told(x, s, sl, o, v);
    case BIT:
        if (o->what == MISC_RECVERR && (rc = xtcp_opt_tell(x, s, XT_SO_RECVERR, v != 0)) < 0)
            return rc;
        sl->misc = v ? sl->misc | o->what : sl->misc & ~o->what;
        return 0;
    case MORE:
        if (v < o->min || v > o->max)
            return -EINVAL;
        xtcp_more(sl, o->what, v != 0);
        return 0;
    }
    return -ENOPROTOOPT;
}

XTCP_API int xtcp_setsockopt(struct xtcp *x, int s, int level, int name, const void *val, socklen_t len)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    int rc, v = 0;
    if (!sl)
        return -EBADF;
    if (!val && (len || level != IPPROTO_IP || name != IP_OPTIONS)) /* these end by that */
        return len ? -EFAULT : -EINVAL;
    if (!xtcp_alive(x))
        return -ECONNABORTED;
    if (level == SOL_SOCKET ? xtcp_socket_setopt(x, s, sl, name, val, len, &rc)
                            : xtcp_proto_setopt(x, s, sl, level, name, val, len, &rc))
        return rc;
    if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP)
        return -ENOPROTOOPT;
    if (level == IPPROTO_IP && len >= 1 && len < sizeof v)
        v = *(const uint8_t *)val; /* IP options may be a byte */
    else if (len >= sizeof v)
        memcpy(&v, val, sizeof v);
    else
        return -EINVAL;
    const struct option *o = find(level, name);
    if (!o && xtcp_hint_set(x, sl, level, name, v, &rc))
        return rc;
    return o ? set_listed(x, s, sl, o, v) : -ENOPROTOOPT;
}

/* ---- reading ---- */

static int get_listed(const struct xtcp *x, const struct xt_slot *sl, const struct option *o, void *val, socklen_t *len)
{
    if (o->rule == BIT || o->rule == MORE)
        return xtcp_opt_give_int(val, len, ((o->rule == BIT ? sl->misc : sl->more) & o->what) != 0);
    if (o->rule == FLAG)
        return xtcp_opt_give_int(val, len, sl->more & flag_of(o->what) ? !o->def : o->def);
    uint32_t v = xtcp_opt_kept(x, sl, o->what);
    return xtcp_opt_give_int(val, len, v == UINT32_MAX ? -1 : v ? (int)(v - 1) : o->def);
}

XTCP_API int xtcp_getsockopt(struct xtcp *x, int s, int level, int name, void *val, socklen_t *len)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    int rc = -ENOPROTOOPT, v = 0;
    if (!sl)
        return -EBADF;
    if (!val || !len)
        return -EFAULT;
    if ((int)*len < 0)
        return -EINVAL;
    if (level == SOL_SOCKET)
        rc = xtcp_socket_getopt(x, sl, name, val, len);
    else if (level == IPPROTO_TCP || level == IPPROTO_IP)
        rc = xtcp_proto_getopt(x, s, sl, level, name, val, len);
    else
        return -EOPNOTSUPP;
    if (rc != -ENOPROTOOPT)
        return rc;
    const struct option *o = find(level, name);
    if (o)
        return get_listed(x, sl, o, val, len);
    if (!xtcp_hint_get(x, sl, level, name, &v, &rc))
        return -ENOPROTOOPT;
    return rc < 0 ? rc : xtcp_opt_give_int(val, len, v);
}
