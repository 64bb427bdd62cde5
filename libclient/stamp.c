/* SPDX-License-Identifier: Apache-2.0
 * SO_TIMESTAMP and SO_TIMESTAMPNS, each in an old and a new form: the daemon says when bytes arrived, once somebody has asked. As with
 * the kernel's TCP, which puts segments together, bytes that are read late may have the time of later ones. */
#include "libclient/internal.h"
#include "libclient/opts.h"

#define TRIES 100 /* the daemon may have died between its stores */

bool xtcp_stamp_setopt(struct xt_slot *sl, int name, int v)
{
    bool new = name == SO_TIMESTAMP_NEW || name == SO_TIMESTAMPNS_NEW;
    bool ns = name == SO_TIMESTAMPNS_OLD || name == SO_TIMESTAMPNS_NEW;
    if (!new && !ns && name != SO_TIMESTAMP_OLD)
        return false;
    xtcp_more(sl, MORE_STAMP | MORE_STAMP_NS | MORE_STAMP_NEW, false);
    if (v) {
        xtcp_more(sl, XT_MORE_RARE | MORE_STAMP | (ns ? MORE_STAMP_NS : 0u) | (new ? MORE_STAMP_NEW : 0u), true);
        atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_STAMPS);
    } else {
        atomic_fetch_and(&sl->want, ~(uint32_t)XT_WANT_STAMPS);
    }
    return true;
}

int xtcp_stamp_getopt(const struct xt_slot *sl, int name)
{
    bool on = sl->more & MORE_STAMP, ns = sl->more & MORE_STAMP_NS, new = sl->more &MORE_STAMP_NEW;
    switch (name) {
    case SO_TIMESTAMP_OLD:
        return on && !ns && !new;
    case SO_TIMESTAMPNS_OLD:
        return ns && !new;
    case SO_TIMESTAMP_NEW: /* Linux says so of both */
        return on && new;
    case SO_TIMESTAMPNS_NEW:
        return ns && new;
    default:
        return -ENOPROTOOPT;
    }
}

static uint64_t arrival(struct xt_stamp *stamp, uint64_t end)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t upto = atomic_load(&stamp->upto), ns = atomic_load(&stamp->ns);
        if (upto && upto == atomic_load(&stamp->upto))
            return end <= upto ? ns : 0;
        if (!upto && !ns)
            break;
    }
    return 0;
}

XTCP_API int xtcp_stamp(struct xtcp *x, int s, size_t peeked, int64_t out[2])
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl || !(sl->more & MORE_STAMP) || xtcp_is_relayed(sl))
        return -ENOENT;
    uint64_t ns = arrival(&xtcp_rare(x, sl)->stamp, atomic_load_explicit(&sl->rx_tail, memory_order_acquire) + peeked);
    if (!ns)
        return -ENOENT;
    bool nano = sl->more & MORE_STAMP_NS, new = sl->more &MORE_STAMP_NEW;
    out[0] = (int64_t)(ns / 1000000000u);
    out[1] = (int64_t)(ns % 1000000000u) / (nano ? 1 : 1000);
    return nano ? (new ? SO_TIMESTAMPNS_NEW : SO_TIMESTAMPNS_OLD) : new ? SO_TIMESTAMP_NEW : SO_TIMESTAMP_OLD;
}
