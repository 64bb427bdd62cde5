/* SPDX-License-Identifier: Apache-2.0
 * Options that change nothing here. Hints, and what Linux itself takes of a TCP socket without an effect, are kept and read back as
 * Linux does it. What a program would rely on is refused, but for the value that says "do not". */
#include <linux/tcp.h>
#include <unistd.h>

#include "libclient/internal.h"
#include "libclient/opts.h"

#define ANY INT32_MIN, INT32_MAX
#define HINT(bit) (bit), 0, ANY, 0, 0

static const struct hint {
    int level, name;
    uint32_t bit; /* of slot.misc: set when the value is not `def`. 0: only `def` may be set */
    int def;      /* and what is read when it was never set */
    int min, max; /* beyond them: EINVAL */
    int err;      /* of another value than `def`, where there is no bit; 0: it is taken, and changes nothing */
    int always;   /* errno of any attempt to set it */
} hints[] = {
    {SOL_SOCKET, SO_DEBUG, HINT(MISC_DEBUG)},
    {SOL_SOCKET, SO_NO_CHECK, HINT(MISC_NO_CHECK)},
    {SOL_SOCKET, SO_RXQ_OVFL, HINT(MISC_RXQ_OVFL)},
    {SOL_SOCKET, SO_WIFI_STATUS, HINT(MISC_WIFI_STATUS)},
    {SOL_SOCKET, SO_NOFCS, HINT(MISC_NOFCS)},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, HINT(MISC_ERR_QUEUE)},
    {SOL_SOCKET, SO_PREFER_BUSY_POLL, HINT(MISC_PREFER_BUSY_POLL)},
    {SOL_SOCKET, SO_BUSY_POLL_BUDGET, 0, 8, 0, UINT16_MAX, 0, 0},
    {SOL_SOCKET, SO_LOCK_FILTER, 0, 0, ANY, 0, 0}, /* there is never a filter */
    {SOL_SOCKET, SO_DETACH_FILTER, 0, 0, ANY, 0, ENOENT},
    {SOL_SOCKET, SO_INCOMING_NAPI_ID, 0, 0, ANY, 0, ENOPROTOOPT},
    {SOL_SOCKET, SO_TXREHASH, MISC_NO_TXREHASH, 1, -1, 1, 0, 0},
    {SOL_SOCKET, SO_PEEK_OFF, 0, -1, ANY, EOPNOTSUPP, 0},
    {SOL_SOCKET, SO_RESERVE_MEM, 0, 0, 0, INT32_MAX, EOPNOTSUPP, 0},
    {SOL_SOCKET, SO_TIMESTAMPING, 0, 0, ANY, ENOPROTOOPT, 0},
    {IPPROTO_TCP, TCP_SAVE_SYN, 0, 0, 0, 2, ENOPROTOOPT, 0},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, MISC_THIN_LINEAR, 0, 0, 1, 0, 0},
    {IPPROTO_TCP, TCP_THIN_DUPACK, 0, 0, 0, 1, 0, 0}, /* Linux has forgotten it */
    {IPPROTO_TCP, TCP_INQ, MISC_INQ, 0, 0, 1, 0, 0},  /* for who receives messages: xtcp_inq_hint() */
    {IPPROTO_TCP, TCP_TX_DELAY, 0, 0, ANY, ENOPROTOOPT, 0},
    {IPPROTO_TCP, TCP_TIMESTAMP, 0, 0, ANY, 0, EPERM},
    {IPPROTO_IP, IP_RECVOPTS, HINT(MISC_RECVOPTS)},
    {IPPROTO_IP, IP_RETOPTS, HINT(MISC_RETOPTS)},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, HINT(MISC_RECVORIGDSTADDR)},
    {IPPROTO_IP, IP_PASSSEC, HINT(MISC_PASSSEC)},
    {IPPROTO_IP, IP_CHECKSUM, HINT(MISC_CHECKSUM)},
    {IPPROTO_IP, IP_MULTICAST_LOOP, MISC_NO_MULTICAST_LOOP, 1, ANY, 0, 0},
    {IPPROTO_IP, IP_MULTICAST_TTL, 0, 1, ANY, 0, EINVAL},
    {IPPROTO_IP, IP_NODEFRAG, 0, 0, ANY, 0, ENOPROTOOPT},
    {IPPROTO_IP, IP_HDRINCL, 0, 0, ANY, 0, ENOPROTOOPT},
    {IPPROTO_IP, IP_ROUTER_ALERT, 0, 0, ANY, 0, EINVAL},
};

static const struct hint *find(int level, int name)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (hints[i].level == level && hints[i].name == name)
            return &hints[i];
    return NULL;
}

static int set(struct xt_slot *sl, const struct hint *h, int v)
{
    if (h->always)
        return -h->always;
    if (v < h->min || v > h->max)
        return -EINVAL;
    if (!h->bit)
        return v == h->def ? 0 : -h->err;
    sl->misc = !v == !h->def ? sl->misc & ~h->bit : sl->misc | h->bit;
    return 0;
}

/* Those with a value, or only for root. */
static bool set_number(struct xtcp *x, struct xt_slot *sl, int level, int name, int v, int *rc)
{
    if (level == IPPROTO_TCP && name == TCP_REPAIR_QUEUE) {
        *rc = -EPERM;
        return true;
    }
    if (level != SOL_SOCKET)
        return false;
    *rc = 0;
    if (name == SO_PRIORITY && (v < 0 || v > 6) && geteuid() != 0)
        *rc = -EPERM;
    else if (name == SO_PRIORITY)
        xtcp_rare_own(x, sl)->priority = (uint32_t)v;
    else if (name == SO_MARK)
        *rc = geteuid() ? -EPERM : (xtcp_rare_own(x, sl)->mark = (uint32_t)v, 0);
    else if (name == SO_BUSY_POLL)
        *rc = v < 0 ? -EINVAL : (xtcp_rare_own(x, sl)->busy_poll = (uint16_t)(v > UINT16_MAX ? UINT16_MAX : v), 0);
    else if (name == SO_INCOMING_CPU)
        xtcp_rare_own(x, sl)->incoming_cpu = (uint16_t)v;
    else if (name == SO_PASSCRED || name == SO_PASSSEC)
        *rc = -EOPNOTSUPP;
    else
        return false;
    return true;
}

bool xtcp_hint_set(struct xtcp *x, struct xt_slot *sl, int level, int name, int v, int *rc)
{
    const struct hint *h = find(level, name);
    if (h)
        *rc = set(sl, h, v);
    return h || set_number(x, sl, level, name, v, rc);
}

static bool get_number(const struct xtcp *x, const struct xt_slot *sl, int level, int name, int *v, int *rc)
{
    if (level == IPPROTO_TCP && name == TCP_REPAIR_QUEUE) {
        *rc = -EINVAL;
        return true;
    }
    if (level != SOL_SOCKET)
        return false;
    if (name == SO_PRIORITY)
        *v = (int)xtcp_rare(x, sl)->priority;
    else if (name == SO_MARK)
        *v = (int)xtcp_rare(x, sl)->mark;
    else if (name == SO_BUSY_POLL)
        *v = xtcp_rare(x, sl)->busy_poll;
    else if (name == SO_INCOMING_CPU)
        *v = xtcp_rare(x, sl)->incoming_cpu;
    else if (name == SO_PASSCRED || name == SO_PASSSEC)
        *rc = -EOPNOTSUPP;
    else
        return false;
    return true;
}

bool xtcp_hint_get(const struct xtcp *x, const struct xt_slot *sl, int level, int name, int *v, int *rc)
{
    const struct hint *h = find(level, name);
    *rc = 0;
    if (!h || h->always == ENOENT || name == SO_BUSY_POLL_BUDGET)
        return get_number(x, sl, level, name, v, rc);
    *v = h->bit && sl->misc & h->bit ? !h->def : h->def;
    return true;
}
