/* SPDX-License-Identifier: Apache-2.0
 * MSG_ZEROCOPY: the bytes are copied into the ring as ever, so the send is over when the call is, and its completion says "copied". The
 * error queue of Linux is then never longer than one entry, for completions in order are merged: two numbers in the slot. */
#include <time.h>

#include <linux/errqueue.h> /* for which <time.h> is first */

#include "libclient/internal.h"
#include "libclient/opts.h"

bool xtcp_has_completions(const struct xtcp *x, struct xt_slot *sl)
{
    if (!(atomic_load_explicit(&sl->oflags, memory_order_acquire) & (uint32_t)XT_OFLAG_ZEROCOPY))
        return false;
    uint64_t v = atomic_load(&xtcp_rare(x, sl)->zerocopy);
    return (uint32_t)v != (uint32_t)(v >> 32);
}

void xtcp_sent_zerocopy(struct xtcp *x, int s, struct xt_slot *sl)
{
    struct xtcp_cmd c = {.op = XT_OP_NEWS, .slot = s};
    if (!(sl->more & MORE_ZEROCOPY))
        return;
    atomic_fetch_add(&xtcp_rare_own(x, sl)->zerocopy, 1ULL << 32);
    atomic_fetch_or(&sl->oflags, (uint32_t)XT_OFLAG_ZEROCOPY);
    if (atomic_load(&sl->subs)) /* who subscribes later sees it: both are sequentially consistent */
        xtcp_call(x, &c);
}

XTCP_API int xtcp_errqueue(struct xtcp *x, int s, struct sock_extended_err *out)
{
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    _Atomic uint64_t *numbers = &xtcp_rare(x, sl)->zerocopy;
    uint64_t v = atomic_load(numbers);
    uint32_t first, next;
    do {
        first = (uint32_t)v;
        next = (uint32_t)(v >> 32);
        if (first == next)
            return -EAGAIN;
    } while (!atomic_compare_exchange_weak(numbers, &v, (uint64_t)next << 32 | next));
    if (out)
        *out = (struct sock_extended_err){.ee_origin = SO_EE_ORIGIN_ZEROCOPY,
                                          .ee_code = SO_EE_CODE_ZEROCOPY_COPIED,
                                          .ee_info = first,
                                          .ee_data = next - 1};
    return 0;
}
