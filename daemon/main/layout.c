/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/app/app.h"
#include "daemon/app/ledger.h"
#include "daemon/base/crash.h"
#include "daemon/base/log.h"
#include "daemon/base/macros.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout_before.h"
#include "daemon/stack/stack.h"

/* What each begins with, as far as it tells the layout. */
struct head {
    uint32_t version, unit; /* unit: bytes of a record, of a socket's entry */
};

static bool state_head(int fd, struct head *out)
{
    struct xt_state_hdr h;
    if (pread(fd, &h, sizeof h, XT_KEPT_PAGE) != (ssize_t)sizeof h || h.magic != XT_STATE_MAGIC)
        return false;
    *out = (struct head){h.version, h.record_size};
    return true;
}

static bool ledger_head(int fd, struct head *out)
{
    struct {
        uint32_t magic, version, slot_size;
    } h; /* of every version */
    if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h || h.magic != XT_LEDGER_MAGIC)
        return false;
    *out = (struct head){h.version, h.slot_size};
    return true;
}

static const struct layout {
    const char *what;
    struct head own, before;
    bool (*head)(int fd, struct head *out);
    int (*read_before)(int fd);
} layouts[] = {
    [XT_LAYOUT_STATE] = {"kept connections",
                         {XT_STATE_VERSION, sizeof(struct xt_conn)},
                         {XT_STATE_BEFORE, sizeof(struct xt_conn_before)},
                         state_head,
                         xt_state_read_before},
    [XT_LAYOUT_LEDGER] = {"kept clients",
                          {XT_LEDGER_VERSION, sizeof(struct xt_pslot)},
                          {XT_LEDGER_BEFORE, sizeof(struct xt_pslot_before)},
                          ledger_head,
                          xt_ledger_read_before},
};

static bool is(const struct head *a, const struct head *b)
{
    return a->version == b->version && a->unit == b->unit;
}

int xt_layout_check(enum xt_layout what, int fd, char *err, size_t errlen)
{
    const struct layout *l = &layouts[what];
    struct head h;
    if (!l->head(fd, &h))
        snprintf(err, errlen, "the %s are not in a layout of xtcpd's", l->what);
    else if (is(&h, &l->own))
        return 0;
    else if (is(&h, &l->before))
        return 1;
    else
        snprintf(err, errlen, "the %s have layout %u (%u bytes each), this xtcpd reads %u (%u) and %u (%u)", l->what,
                 h.version, h.unit, l->own.version, l->own.unit, l->before.version, l->before.unit);
    return -EPROTO;
}

size_t xt_layout_state_size(int whose, uint32_t max_conns, uint32_t shards)
{
    size_t one = whose ? xt_state_places_before(max_conns).end : xt_stack_state_size(max_conns);
    return shards > 1 ? shards * XT_ALIGN_UP(one, (size_t)XT_KEPT_PAGE) : one;
}

/* ---- making them new ---- */

#define BARRIER_MS 10000

/* Where a process died while it put one in the place of another (xt_notify_replace()), the new one counts. */
static int settle(struct xt_handed *h, unsigned *count)
{
    for (unsigned i = 0; i < h->n; i++) {
        struct xt_handed_fd *f = &h->item[i];
        char *end = f->fd < 0 ? NULL : strstr(f->name, XT_NOTIFY_NEXT);
        if (!end)
            continue;
        int fd = f->fd;
        f->fd = -1;
        *end = 0;
        xt_handed_drop(h, f->name);
        f->fd = fd;
        int rc = xt_notify_settle(f->name, fd);
        (*count)++;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* One of them, where it is of the release before. */
static int renew(struct xt_handed *h, enum xt_layout what, const char *name, unsigned *count)
{
    char err[256];
    int old = xt_handed_peek(h, name);
    if (old < 0 || xt_layout_check(what, old, err, sizeof err) != 1)
        return 0;
    XT_CRASH_POINT();
    int fd = layouts[what].read_before(old);
    if (fd < 0)
        return fd == -EPROTO ? 0 : fd; /* who takes it up says that it cannot be */
    XT_CRASH_POINT();
    int rc = xt_notify_replace(name, fd);
    xt_handed_replace(h, name, fd);
    (*count)++;
    return rc;
}

int xt_layout_renew(struct xt_handed *h)
{
    const char *name;
    unsigned cursor = 0, count = 0;
    int rc = settle(h, &count);
    if (rc == 0)
        rc = renew(h, XT_LAYOUT_STATE, "state", &count);
    while (rc == 0 && (name = xt_handed_next(h, XT_KEEP_LEDGER, &cursor)))
        rc = renew(h, XT_LAYOUT_LEDGER, name, &count);
    if (rc < 0 || count == 0)
        return rc;
    xt_log_info("%u kept parts had the layout of the release before", count);
    rc = xt_notify_barrier(BARRIER_MS); /* from here on only the new ones change */
    if (rc < 0)
        xt_log_warn("the keeper does not say whether it has them: %s", strerror(-rc));
    XT_CRASH_POINT();
    return 0;
}
