/* SPDX-License-Identifier: Apache-2.0
 * Options of SOL_SOCKET with a shape, a limit or an answer of their own. */
#include <linux/socket.h>
#include <net/if.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "libclient/internal.h"
#include "libclient/opts.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

static int set_linger(struct xtcp *x, int s, struct xt_slot *sl, const void *val, socklen_t len)
{
    struct linger l;
    if (len < sizeof l)
        return -EINVAL;
    memcpy(&l, val, sizeof l);
    if (l.l_linger < 0)
        l.l_linger = INT32_MAX / 1000;
    if (l.l_onoff || xtcp_rare(x, sl)->linger)
        xtcp_rare_own(x, sl)->linger = l.l_onoff ? (uint32_t)l.l_linger + 1 : 0;
    return xtcp_opt_tell(x, s, XT_SO_LINGER, l.l_onoff ? l.l_linger : -1);
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
    int rc = xtcp_opt_tell(x, s, opt, want | (force ? (int64_t)XT_BUF_FORCE : 0));
    if (rc < 0)
        return rc;
    xtcp_opt_keep(x, sl, opt, 2 * (uint32_t)rc < least ? least : 2 * (uint32_t)rc);
    return 0;
}

/* SO_BUF_LOCK: which sizes the program has set. They cannot be let go again. */
static int buffers_locked(struct xt_slot *sl)
{
    return (sl->sndbuf ? SOCK_SNDBUF_LOCK : 0) | (sl->rcvbuf ? SOCK_RCVBUF_LOCK : 0);
}

static int lock_buffers(struct xt_slot *sl, int v)
{
    if (v & ~SOCK_BUF_LOCK_MASK)
        return -EINVAL;
    return v == buffers_locked(sl) ? 0 : -ENOPROTOOPT;
}

static int set_rcvlowat(struct xtcp *x, int s, struct xt_slot *sl, int value)
{
    int rc = xtcp_opt_tell(x, s, XT_SO_RCVLOWAT, value < 0 ? INT32_MAX : value);
    if (rc < 0)
        return rc;
    xtcp_rare_own(x, sl)->rcvlowat = rc ? (uint32_t)rc : 1;
    return 0;
}

/* The interface of xtcp's sockets is xtcp's. A socket is the kernel's when another was named before it became one (the preload's
 * decision); later there is no way to that one. */
static int set_device(const struct xtcp *x, struct xt_slot *sl, const char *name)
{
    if (*name && !if_nametoindex(name))
        return -ENODEV;
    if (sl->more & MORE_DEVICE && geteuid() != 0)
        return -EPERM;
    if (*name && strcmp(name, x->interface) != 0)
        return -ENOPROTOOPT;
    xtcp_more(sl, MORE_DEVICE, *name != 0);
    return 0;
}

static int set_device_name(const struct xtcp *x, struct xt_slot *sl, const void *val, socklen_t len)
{
    char name[IFNAMSIZ] = "";
    memcpy(name, val, len < sizeof name - 1 ? len : sizeof name - 1);
    return set_device(x, sl, name);
}

static int set_device_index(const struct xtcp *x, struct xt_slot *sl, int index)
{
    char name[IFNAMSIZ] = "";
    if (index < 0)
        return -EINVAL;
    if (index && !if_indextoname((unsigned)index, name))
        return -ENODEV;
    return set_device(x, sl, name);
}

/* Programs of old have 32 bits, of which all ones stand for "no limit" too. */
static int set_pacing(struct xtcp *x, int s, struct xt_slot *sl, const void *val, socklen_t len, int v)
{
    uint64_t rate = v == -1 ? UINT64_MAX : (uint32_t)v;
    if (len >= sizeof rate)
        memcpy(&rate, val, sizeof rate);
    xtcp_rare_own(x, sl)->pacing_max = ~rate;
    return xtcp_opt_tell(x, s, XT_SO_PACING_MAX, rate == UINT64_MAX ? 0 : (int64_t)rate);
}

/* Those whose values are shorter or longer than an int. */
static bool set_shaped(struct xtcp *x, int s, struct xt_slot *sl, int name, const void *val, socklen_t len, int *rc)
{
    switch (name) {
    case SO_LINGER:
        *rc = set_linger(x, s, sl, val, len);
        return true;
    case SO_RCVTIMEO:
        *rc = set_timeout(&sl->rcvtimeo_ms, val, len);
        return true;
    case SO_SNDTIMEO:
        *rc = set_timeout(&sl->sndtimeo_ms, val, len);
        return true;
    case SO_BINDTODEVICE:
        *rc = set_device_name(x, sl, val, len);
        return true;
    default:
        *rc = -EINVAL;
        return len < sizeof(int);
    }
}

bool xtcp_socket_setopt(struct xtcp *x, int s, struct xt_slot *sl, int name, const void *val, socklen_t len, int *rc)
{
    int v;
    if (set_shaped(x, s, sl, name, val, len, rc))
        return true;
    memcpy(&v, val, sizeof v);
    *rc = 0;
    if (xtcp_stamp_setopt(sl, name, v))
        return true;
    switch (name) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        *rc = set_buffer(x, s, sl, XT_SO_SNDBUF, v, name == SO_SNDBUFFORCE);
        return true;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        *rc = set_buffer(x, s, sl, XT_SO_RCVBUF, v, name == SO_RCVBUFFORCE);
        return true;
    case SO_REUSEADDR:
        xtcp_more(sl, MORE_REUSEADDR, v != 0);
        return true;
    case SO_BUF_LOCK:
        *rc = lock_buffers(sl, v);
        return true;
    case SO_RCVLOWAT:
        *rc = set_rcvlowat(x, s, sl, v);
        return true;
    case SO_BINDTOIFINDEX:
        *rc = set_device_index(x, sl, v);
        return true;
    case SO_MAX_PACING_RATE:
        *rc = set_pacing(x, s, sl, val, len, v);
        return true;
    default:
        return false;
    }
}

/* ---- reading ---- */

static int give_timeout(void *val, socklen_t *len, uint32_t ms)
{
    struct timeval tv = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    return xtcp_opt_give(val, len, &tv, sizeof tv);
}

/* What was asked for, or else what the ring has grown to. tx_size of a listener is something else. */
static int get_buffer(struct xtcp *x, struct xt_slot *sl, uint32_t opt, void *val, socklen_t *len)
{
    bool tx = opt == XT_SO_SNDBUF, listens = atomic_load(&sl->cond) & XT_COND_LISTEN;
    uint32_t set = xtcp_opt_kept(x, sl, opt),
             now = atomic_load_explicit(tx ? &sl->tx_size : &sl->rx_size, memory_order_relaxed);
    if (listens || !now)
        now = tx ? x->region->sndbuf : x->region->rcvbuf;
    return xtcp_opt_give_int(val, len, (int)(set ? set : 2 * now));
}

/* The error that ended the connection, or else what the network has complained about without ending it (RFC 9293 SHLD-25). */
static int take_any_error(struct xt_slot *sl)
{
    int err = xtcp_take_error(sl);
    return err || !atomic_load_explicit(&sl->soft_error, memory_order_relaxed) ? err
                                                                               : atomic_exchange(&sl->soft_error, 0);
}

static int get_device(const struct xtcp *x, const struct xt_slot *sl, void *val, socklen_t *len)
{
    if (!(sl->more & MORE_DEVICE))
        return xtcp_opt_give(val, len, "", 0);
    return *len < IFNAMSIZ ? -EINVAL : xtcp_opt_give(val, len, x->interface, strlen(x->interface) + 1);
}

static int get_pacing(const struct xtcp *x, const struct xt_slot *sl, void *val, socklen_t *len)
{
    uint64_t rate = ~xtcp_rare(x, sl)->pacing_max;
    if (*len >= sizeof rate)
        return xtcp_opt_give(val, len, &rate, sizeof rate);
    return xtcp_opt_give_int(val, len, rate < UINT32_MAX ? (int)(uint32_t)rate : -1);
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

int xtcp_socket_getopt(struct xtcp *x, struct xt_slot *sl, int name, void *val, socklen_t *len)
{
    int stamp;
    uint32_t l = xtcp_rare(x, sl)->linger, lowat = xtcp_rare(x, sl)->rcvlowat;
    struct linger linger = {.l_onoff = l != 0, .l_linger = l ? (int)(l - 1) : 0};
    switch (name) {
    case SO_ERROR:
        return xtcp_opt_give_int(val, len, xtcp_alive(x) ? take_any_error(sl) : ECONNABORTED);
    case SO_TYPE:
        return xtcp_opt_give_int(val, len, SOCK_STREAM);
    case SO_PROTOCOL:
        return xtcp_opt_give_int(val, len, IPPROTO_TCP);
    case SO_DOMAIN:
        return xtcp_opt_give_int(val, len, AF_INET);
    case SO_ACCEPTCONN:
        return xtcp_opt_give_int(val, len, (atomic_load(&sl->cond) & XT_COND_LISTEN) != 0);
    case SO_REUSEADDR:
        return xtcp_opt_give_int(val, len, (sl->more & MORE_REUSEADDR) != 0);
    case SO_LINGER:
        return xtcp_opt_give(val, len, &linger, sizeof linger);
    case SO_RCVTIMEO:
        return give_timeout(val, len, sl->rcvtimeo_ms);
    case SO_SNDTIMEO:
        return give_timeout(val, len, sl->sndtimeo_ms);
    case SO_RCVLOWAT:
        return xtcp_opt_give_int(val, len, lowat ? (int)lowat : 1);
    case SO_SNDLOWAT:
        return xtcp_opt_give_int(val, len, 1);
    case SO_SNDBUF:
        return get_buffer(x, sl, XT_SO_SNDBUF, val, len);
    case SO_RCVBUF:
        return get_buffer(x, sl, XT_SO_RCVBUF, val, len);
    case SO_BINDTODEVICE:
        return get_device(x, sl, val, len);
    case SO_BINDTOIFINDEX:
        return xtcp_opt_give_int(val, len, sl->more & MORE_DEVICE ? (int)if_nametoindex(x->interface) : 0);
    case SO_BUF_LOCK:
        return xtcp_opt_give_int(val, len, buffers_locked(sl));
    case SO_PEERCRED: /* as Linux answers of any TCP socket */
        return xtcp_opt_give(val, len, &(struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1}, sizeof(struct ucred));
    case SO_MAX_PACING_RATE:
        return get_pacing(x, sl, val, len);
    case SO_PEERGROUPS:
        return -ENODATA;
    case SO_COOKIE:
        return give_cookie(x, sl, val, len);
    default:
        stamp = xtcp_stamp_getopt(sl, name);
        return stamp < 0 ? stamp : xtcp_opt_give_int(val, len, stamp);
    }
}
