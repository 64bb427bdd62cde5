/* SPDX-License-Identifier: Apache-2.0
 * Exported sockets outlive the stack process: their ends are kept, the rest stands in the session's ledger. */
#include <errno.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/ctl/export_internal.h"
#include "daemon/ctl/keep.h"

typedef int take_fn(void *arg, uint32_t id, char what, uint32_t n);

/* False: its end was not kept; the socket is let go of. */
static bool adopt_one(struct xt_exporter *x, struct xt_pexport *p, take_fn *take, void *arg)
{
    uint32_t id = xt_session_id(x->relay.session), slot = p->slot - 1;
    int b = take(arg, id, XT_KEEP_EXPORT, slot), kept = take(arg, id, XT_KEEP_HOLDERS, slot);
    if (b < 0) {
        if (kept >= 0)
            close(kept);
        return false;
    }
    struct xt_export *e = xt_export_new(x, p, slot, b, kept);
    if (!e)
        xt_log_no_memory("an exported socket");
    e->ino = p->ino;
    e->listener = p->listener;
    e->beside = take(arg, id, XT_KEEP_BESIDE, slot);
    if (p->moving)
        xt_relay_move_end(&x->relay, p);
    if (p->wanted || (kept < 0 && !e->listener)) /* without the holders' end: it was to be relayed from then on */
        xt_export_activate(e);
    else
        xt_export_watch(e, e->listener ? UV_PRIORITIZED : UV_READABLE);
    return true;
}

void xt_export_adopt(struct xt_ctl *c, struct xt_session *s, take_fn *take, void *arg)
{
    struct xt_relay r;
    struct xt_pexport *p;
    uint32_t cursor = 0;
    int rc = xt_relay_reopen(&r, s);
    if (rc == -ENOENT)
        return;
    if (rc == -ENOTCONN) {
        xt_export_end_relay(c, &r);
        return;
    }
    struct xt_exporter *x = rc < 0 ? NULL : xt_export_new_home(c, &r);
    if (!x)
        xt_log_no_memory("exported sockets");
    x->left = !xt_export_has_client(c, s);
    while ((p = xt_relay_next_entry(&r, &cursor)))
        if (!xt_relay_holds(&r, p->slot - 1) || !adopt_one(x, p, take, arg))
            p->slot = 0;
    xt_relay_release_rest(&r);
    xt_export_settle(x);
}
