/* SPDX-License-Identifier: Apache-2.0
 * Socket options, with Linux's values and what Linux reads back. Most are kept in the slot; those that the daemon must know
 * go to it as well. */
#include <linux/socket.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "libclient/fastopen.h"
#include "libclient/internal.h"
#include "libclient/opts.h"
#include "libclient/tcpinfo.h"
#include "proto/xt_cc.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

#define IP_OPTIONS_MAX 40
#define LINGER2_MAX 120
#define LINGER2_DEFAULT 60
#define WINDOW_CLAMP_MIN 1152
#define RTO_MAX_S 120

enum rule {
    FLAG,   /* 0 or 1, kept in optval, sent to the daemon */
    NUMBER, /* min to max, likewise */
    BIT,    /* a flag of slot.misc; but for IP_RECVERR it changes nothing */
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

/* Where an option's value is kept. 0 means "never set", so values are stored plus one; UINT32_MAX is -1. */
static uint32_t *place(struct xt_slot *sl, uint32_t opt)
{
    if (opt >= XT_SO_SYNCNT)
        return &sl->optval_last[opt - XT_SO_SYNCNT];
    return opt < 11 ? &sl->optval[opt] : &sl->optval_more[opt - 11];
}

static int tell(struct xtcp *x, int s, uint32_t opt, int64_t value)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .arg = {opt, (uint64_t)value}};
    return xtcp_call(x, &c);
}

/* Options that the daemon always takes: no answer is waited for. That nobody waits for Nagle's algorithm to let something go is no
 * news while there is nothing unsent. */
static int post(struct xtcp *x, int s, const struct xt_slot *sl, uint32_t opt, int64_t value)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .port = (uint16_t)sl->gen, .arg = {opt, (uint64_t)value}};
    bool empty = atomic_load(&sl->tx_head) == atomic_load(&sl->tx_tail);
    return xtcp_tell(x, &c, opt != XT_SO_NODELAY || !empty);
}

/* ---- options with a shape of their own ---- */

static int set_linger(struct xtcp *x, int s, struct xt_slot *sl, const void *val, socklen_t len)
{
    struct linger l;
    if (len < sizeof l)
        return -EINVAL;
    memcpy(&l, val, sizeof l);
    if (l.l_linger < 0)
        l.l_linger = INT32_MAX / 1000;
    *place(sl, XT_SO_LINGER) = l.l_onoff ? (uint32_t)l.l_linger + 1 : 0;
    return tell(x, s, XT_SO_LINGER, l.l_onoff ? l.l_linger : -1);
}

static int set_timeout(uint32_t *ms, const void *val, socklen_t len)
{
    struct timeval tv;
    if (len < sizeof tv)
        return -EINVAL;
    memcpy(&tv, val, sizeof tv);
    if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
        return -EDOM;
    uint64_t v = tv.tv_sec < 0 ? 1 : (uint64_t)tv.tv_sec * 1000 + (uint64_t)(tv.tv_usec + 999) / 1000;
    *ms = v > UINT32_MAX ? 0 : (uint32_t)v;
    return 0;
}

/* The daemon knows the limit; it says what there is. Linux doubles that, for its own book-keeping, and so shows it. */
static int set_buffer(struct xtcp *x, int s, struct xt_slot *sl, uint32_t opt, int value, bool force)
{
    uint32_t least = opt == XT_SO_SNDBUF ? 4608 : 2304;
    int64_t want = value >= 0 ? value : force ? 0 : INT32_MAX;
    if (force && geteuid() != 0)
        return -EPERM;
    int rc = tell(x, s, opt, want | (force ? (int64_t)XT_BUF_FORCE : 0));
    if (rc < 0)
        return rc;
    *place(sl, opt) = 2 * (uint32_t)rc < least ? least : 2 * (uint32_t)rc;
    return 0;
}

/* SO_BUF_LOCK: which sizes the program has set. They cannot be let go again. */
static int buffers_locked(struct xt_slot *sl)
{
    return (*place(sl, XT_SO_SNDBUF) ? SOCK_SNDBUF_LOCK : 0) | (*place(sl, XT_SO_RCVBUF) ? SOCK_RCVBUF_LOCK : 0);
}

static int lock_buffers(struct xt_slot *sl, int v)
{
    if (v & ~SOCK_BUF_LOCK_MASK)
        return -EINVAL;
    return v == buffers_locked(sl) ? 0 : -ENOPROTOOPT;
}

static int set_rcvlowat(struct xtcp *x, int s, struct xt_slot *sl, int value)
{
    int rc = tell(x, s, XT_SO_RCVLOWAT, value < 0 ? INT32_MAX : value);
    if (rc < 0)
        return rc;
    sl->rcvlowat = rc ? (uint32_t)rc : 1;
    return 0;
}

/* Checked by the daemon, which sends them. */
static int set_ip_options(struct xtcp *x, int s, const void *val, socklen_t len)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .arg = {XT_SO_IP_OPTIONS, len}, .in = val, .in_len = len};
    return len > IP_OPTIONS_MAX ? -EINVAL : xtcp_call(x, &c);
}

static int set_congestion(struct xtcp *x, int s, const void *val, socklen_t len)
{
    char name[16] = "";
    memcpy(name, val, len < sizeof name - 1 ? len : sizeof name - 1);
    if (len == 0)
        return -EINVAL;
    int id = xt_cc_by_name(name);
    return id < 0 ? -ENOENT : tell(x, s, XT_SO_CONGESTION, id);
}

/* The interface that xtcp's sockets go through is xtcp's to choose; a name that nobody has is refused as by Linux. */
static int set_device(const void *val, socklen_t len)
{
    char name[IFNAMSIZ] = "";
    memcpy(name, val, len < sizeof name - 1 ? len : sizeof name - 1);
    return !*name || if_nametoindex(name) ? 0 : -ENODEV;
}

/* True when the option is one of these; *rc is then the answer. */
static bool set_special(struct xtcp *x, int s, struct xt_slot *sl, int level, int name, const void *val, socklen_t len,
                        int *rc)
{
    int v = 0;
    if (val)
        memcpy(&v, val, len < sizeof v ? len : sizeof v);
    if (level == IPPROTO_TCP && xtcp_fastopen_setsockopt(x, s, name, val, len, rc))
        return true;
    if (level == IPPROTO_IP && name == IP_OPTIONS)
        *rc = set_ip_options(x, s, val, len);
    else if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        *rc = set_congestion(x, s, val, len);
    else if (level == IPPROTO_TCP && name == TCP_ULP)
        *rc = -ENOENT;
    else if (level == SOL_SOCKET && name == SO_LINGER)
        *rc = set_linger(x, s, sl, val, len);
    else if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        *rc = set_timeout(&sl->rcvtimeo_ms, val, len);
    else if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        *rc = set_timeout(&sl->sndtimeo_ms, val, len);
    else if (level == SOL_SOCKET && name == SO_BINDTODEVICE)
        *rc = set_device(val, len);
    else if ((level == SOL_SOCKET || level == IPPROTO_TCP) && len < sizeof v)
        *rc = -EINVAL;
    else if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_SNDBUFFORCE))
        *rc = set_buffer(x, s, sl, XT_SO_SNDBUF, v, name == SO_SNDBUFFORCE);
    else if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE))
        *rc = set_buffer(x, s, sl, XT_SO_RCVBUF, v, name == SO_RCVBUFFORCE);
    else if (level == SOL_SOCKET && name == SO_REUSEADDR)
        *rc = (sl->reuse = v != 0, 0);
    else if (level == SOL_SOCKET && name == SO_BUF_LOCK)
        *rc = lock_buffers(sl, v);
    else if (level == SOL_SOCKET && name == SO_RCVLOWAT)
        *rc = set_rcvlowat(x, s, sl, v);
    else if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
        *rc = v != 0 && (v < 88 || v > 32767) ? -EINVAL : tell(x, s, XT_SO_MAXSEG, v);
        if (*rc == 0)
            *place(sl, XT_SO_MAXSEG) = (uint32_t)v;
    } else
        return false;
    return true;
}

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

static uint32_t as_kept(uint32_t opt, int v)
{
    return opt == XT_SO_OOBINLINE ? (uint32_t)v : v < 0 ? UINT32_MAX : (uint32_t)v + 1;
}

static int set_listed(struct xtcp *x, int s, struct xt_slot *sl, const struct option *o, int v)
{
    int rc = 0;
    switch (o->rule) {
    case FLAG:
    case NUMBER:
        if (o->rule == FLAG)
            v = v != 0;
        else if (o->what == XT_SO_TTL && v == -1)
            v = o->def;
        else if (v < o->min || v > o->max ||
                 (o->what == XT_SO_WINDOW_CLAMP && v == 0 && atomic_load(&sl->state) != XT_CLOSED))
            return -EINVAL;
        v = kept(o->what, v);
        if (o->what == XT_SO_NOTSENT_LOWAT)
            *place(sl, o->what) = as_kept(o->what, v); /* before: the daemon tells all who wait to look */
        rc = o->what == XT_SO_NODELAY || o->what == XT_SO_CORK ? post(x, s, sl, o->what, v) : tell(x, s, o->what, v);
        if (rc == 0)
            *place(sl, o->what) = as_kept(o->what, v);
        return rc;
    case BIT:
        if (o->what == MISC_RECVERR && (rc = tell(x, s, XT_SO_RECVERR, v != 0)) < 0)
            return rc;
        sl->misc = v ? sl->misc | o->what : sl->misc & ~o->what;
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
    if (set_special(x, s, sl, level, name, val, len, &rc))
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
    if (!o && xtcp_hint_set(sl, level, name, v, &rc))
        return rc;
    return o ? set_listed(x, s, sl, o, v) : -ENOPROTOOPT;
}

/* ---- reading ---- */

static int give(void *val, socklen_t *len, const void *from, size_t n)
{
    n = *len < n ? *len : n;
    memcpy(val, from, n);
    *len = (socklen_t)n;
    return 0;
}

static int give_int(void *val, socklen_t *len, int v)
{
    return give(val, len, &v, sizeof v);
}

static int give_timeout(void *val, socklen_t *len, uint32_t ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    return give(val, len, &tv, sizeof tv);
}

static int ask_info(struct xtcp *x, int s, struct xt_tcp_info_abi *a)
{
    struct xtcp_cmd c = {.op = XT_OP_INFO, .slot = s, .data = a, .data_len = sizeof *a};
    return xtcp_call(x, &c);
}

static int get_info(struct xtcp *x, int s, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    struct xtcp_tcp_info t;
    xtcp_tcp_info_fill(&t, &a);
    return give(val, len, &t, sizeof t);
}

static int get_ip_options(struct xtcp *x, int s, void *val, socklen_t *len)
{
    uint8_t o[IP_OPTIONS_MAX];
    struct xtcp_cmd c = {.op = XT_OP_GETOPT, .slot = s, .arg = {XT_SO_IP_OPTIONS}, .data = o, .data_len = sizeof o};
    int n = xtcp_call(x, &c);
    return n < 0 ? n : give(val, len, o, (size_t)n);
}

static int get_congestion(struct xtcp *x, int s, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    char name[16] = "";
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    strcpy(name, xt_cc_name(a.cc));
    return give(val, len, name, sizeof name);
}

static int get_maxseg(struct xtcp *x, int s, struct xt_slot *sl, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    uint32_t set = *place(sl, XT_SO_MAXSEG);
    return give_int(val, len, (int)(a.state != XT_CLOSED && a.snd_mss ? a.snd_mss : set ? set : 536));
}

static int get_mtu(struct xtcp *x, int s, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    return a.pmtu ? give_int(val, len, (int)a.pmtu) : -ENOTCONN;
}

/* What was asked for, or else what the ring has grown to. tx_size of a listener is something else. */
static int get_buffer(struct xtcp *x, struct xt_slot *sl, uint32_t opt, void *val, socklen_t *len)
{
    bool tx = opt == XT_SO_SNDBUF, listens = atomic_load(&sl->cond) & XT_COND_LISTEN;
    uint32_t set = *place(sl, opt), now = atomic_load_explicit(tx ? &sl->tx_size : &sl->rx_size, memory_order_relaxed);
    if (listens || !now)
        now = tx ? x->region->sndbuf : x->region->rcvbuf;
    return give_int(val, len, (int)(set ? set : 2 * now));
}

/* The error that ended the connection, or else what the network has complained about without ending it (RFC 9293 SHLD-25). */
static int take_any_error(struct xt_slot *sl)
{
    int err = xtcp_take_error(sl);
    return err || !atomic_load_explicit(&sl->soft_error, memory_order_relaxed) ? err
                                                                               : atomic_exchange(&sl->soft_error, 0);
}

/* A number that no other socket of this daemon has, and that stays whoever holds the socket. */
static int give_cookie(const struct xtcp *x, const struct xt_slot *sl, void *val, socklen_t *len)
{
    uint64_t cookie = (uint64_t)x->session << 32 | (uint64_t)(sl->gen & 0x3fff) << 18 | (uint64_t)(sl - x->slots);
    if (*len < sizeof cookie)
        return -EINVAL;
    memcpy(val, &cookie, *len = sizeof cookie);
    return 0;
}

static int get_socket(struct xtcp *x, struct xt_slot *sl, int name, void *val, socklen_t *len)
{
    uint32_t l = *place(sl, XT_SO_LINGER);
    struct linger linger = {.l_onoff = l != 0, .l_linger = l ? (int)(l - 1) : 0};
    switch (name) {
    case SO_ERROR:
        return give_int(val, len, take_any_error(sl));
    case SO_TYPE:
        return give_int(val, len, SOCK_STREAM);
    case SO_PROTOCOL:
        return give_int(val, len, IPPROTO_TCP);
    case SO_DOMAIN:
        return give_int(val, len, AF_INET);
    case SO_ACCEPTCONN:
        return give_int(val, len, (atomic_load(&sl->cond) & XT_COND_LISTEN) != 0);
    case SO_REUSEADDR:
        return give_int(val, len, sl->reuse != 0);
    case SO_LINGER:
        return give(val, len, &linger, sizeof linger);
    case SO_RCVTIMEO:
        return give_timeout(val, len, sl->rcvtimeo_ms);
    case SO_SNDTIMEO:
        return give_timeout(val, len, sl->sndtimeo_ms);
    case SO_RCVLOWAT:
        return give_int(val, len, sl->rcvlowat ? (int)sl->rcvlowat : 1);
    case SO_SNDLOWAT:
        return give_int(val, len, 1);
    case SO_SNDBUF:
        return get_buffer(x, sl, XT_SO_SNDBUF, val, len);
    case SO_RCVBUF:
        return get_buffer(x, sl, XT_SO_RCVBUF, val, len);
    case SO_BINDTODEVICE:
        *len = 0;
        return 0;
    case SO_BUF_LOCK:
        return give_int(val, len, buffers_locked(sl));
    case SO_PEERCRED: /* as Linux answers of any TCP socket */
        return give(val, len, &(struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1}, sizeof(struct ucred));
    case SO_PEERGROUPS:
        return -ENODATA;
    case SO_COOKIE:
        return give_cookie(x, sl, val, len);
    default:
        return -ENOPROTOOPT;
    }
}

static int get_listed(struct xt_slot *sl, const struct option *o, void *val, socklen_t *len)
{
    if (o->rule == BIT)
        return give_int(val, len, (sl->misc & o->what) != 0);
    uint32_t v = *place(sl, o->what);
    if (o->what == XT_SO_OOBINLINE)
        return give_int(val, len, (int)v);
    return give_int(val, len, v == UINT32_MAX ? -1 : v ? (int)(v - 1) : o->def);
}

XTCP_API int xtcp_getsockopt(struct xtcp *x, int s, int level, int name, void *val, socklen_t *len)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    if (!val || !len)
        return -EFAULT;
    if ((int)*len < 0)
        return -EINVAL;
    int rc;
    if (level == IPPROTO_TCP && xtcp_fastopen_getsockopt(x, s, name, val, len, &rc))
        return rc;
    if (level == IPPROTO_TCP) {
        if (name == TCP_INFO)
            return get_info(x, s, val, len);
        if (name == TCP_MAXSEG)
            return get_maxseg(x, s, sl, val, len);
        if (name == TCP_CONGESTION)
            return get_congestion(x, s, val, len);
        if (name == TCP_ULP || name == TCP_SAVED_SYN || name == TCP_CC_INFO) /* there is none */
            return give(val, len, "", 0);
    }
    if (level == IPPROTO_IP && name == IP_MTU)
        return get_mtu(x, s, val, len);
    if (level == IPPROTO_IP && name == IP_OPTIONS)
        return get_ip_options(x, s, val, len);
    if (level == SOL_SOCKET && name == SO_ERROR && !xtcp_alive(x))
        return give_int(val, len, ECONNABORTED);
    if (level == SOL_SOCKET) {
        rc = get_socket(x, sl, name, val, len);
        if (rc != -ENOPROTOOPT)
            return rc;
    }
    const struct option *o = find(level, name);
    if (o)
        return get_listed(sl, o, val, len);
    if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP)
        return -EOPNOTSUPP;
    int v = 0;
    if (!xtcp_hint_get(sl, level, name, &v, &rc))
        return -ENOPROTOOPT;
    return rc < 0 ? rc : give_int(val, len, v);
}
