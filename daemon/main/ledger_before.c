/* SPDX-License-Identifier: Apache-2.0
 * A ledger of the release before. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/app/ledger.h"
#include "daemon/base/crash.h"
#include "daemon/base/macros.h"
#include "daemon/main/layout.h"
#include "daemon/main/layout_before.h"

#define SLOTS_OFF XT_ALIGN_UP(sizeof(struct xt_ledger_before), (size_t)4096)

static void read_waiter(struct xt_pwaiter *to, const struct xt_pwaiter_before *from)
{
    atomic_store(&to->state, atomic_load(&from->state));
    to->proc = from->proc;
    to->rfd = from->rfd;
    to->wfd = from->wfd;
    to->cmd_seen = from->cmd_seen;
    to->made_seq = from->made_seq;
    to->made = from->made;
}

static struct xt_extent read_extent(const struct xt_extent_before *from)
{
    struct xt_extent e = {.size = from->size};
    xt_extent_move(&e, from->off);
    return e;
}

static void read_rings(struct xt_pslot *to, const struct xt_pslot_before *from)
{
    to->rx_head = from->rx_head;
    to->rx_tail = from->rx_tail;
    to->tx_head = from->tx_head;
    to->tx_tail = from->tx_tail;
    to->rx = read_extent(&from->rx);
    to->tx = read_extent(&from->tx);
    to->rx_fixed = from->rx_fixed;
    to->tx_fixed = from->tx_fixed;
    to->cold = from->cold;
    to->moved = (uint32_t)from->moved;
    to->moved_us = (uint32_t)from->moved_us;
}

static void read_slot(struct xt_pslot *to, const struct xt_pslot_before *from)
{
    to->kind = from->kind;
    to->queued = from->queued;
    to->changed = from->changed;
    to->news = from->news;
    to->urgent = from->urgent;
    to->pending = from->pending;
    to->orphan = from->orphan;
    to->bound = from->bound;
    atomic_store(&to->left, atomic_load(&from->left));
    to->arrived = from->arrived;
    atomic_store(&to->holder, atomic_load(&from->holder));
    to->conn = from->conn;
    to->conn_gen = from->conn_gen;
    to->cond = from->cond;
    to->pending_error = (int16_t)from->pending_error;
    to->pending_soft = (int16_t)from->pending_soft;
    to->gen = from->gen;
    to->linger = from->linger;
    to->sndbuf = from->sndbuf;
    to->rcvbuf = from->rcvbuf;
    to->next = from->next;
    to->prev_listener = from->prev_listener;
    to->opt = xt_sockopt_read_before(&from->opt);
    read_rings(to, from);
}

static bool has_rare(const struct xt_pslot_before *from)
{
    return from->kind == XT_SLOT_LISTEN || from->bound || from->maxseg || from->rx_new.size || from->tx_new.size ||
           from->rx_old.size || from->rx_urg || from->tx_urg || from->fo.limit || from->fo.no_cookie ||
           from->fo.nkeys || from->ipopt.len;
}

static void read_rare(struct xt_prare *to, const struct xt_pslot_before *from)
{
    to->local = from->local;
    to->claim = from->claim;
    to->any_local = from->any_local;
    to->maxseg = from->maxseg;
    to->rx_urg = from->rx_urg;
    to->tx_urg = from->tx_urg;
    to->rx_old = read_extent(&from->rx_old);
    to->rx_switch = from->rx_switch;
    to->rx_new = read_extent(&from->rx_new);
    to->tx_new = read_extent(&from->tx_new);
    to->acc_first = from->acc_first;
    to->acc_last = from->acc_last;
    to->acc_head = from->acc_head;
    to->acc_tail = from->acc_tail;
    to->backlog = from->backlog;
    to->syn_recv = from->syn_recv;
    to->next_listener = from->next_listener;
    to->fo = from->fo;
    to->ipopt = from->ipopt;
}

/* The reader's rounds begin anew, as they do after each death (xt_app_rings_revive()). */
static void read_socket(struct xt_ledger *to, uint32_t i, const struct xt_pslot_before *from)
{
    struct xt_pslot *p = &xt_ledger_slots(to)[i];
    read_slot(p, from);
    if (!has_rare(from))
        return;
    read_rare(&xt_ledger_rares(to)[i], from);
    xt_ledger_say_rare(p);
}

/* Only what was ever used: both are sparse. */
static void read_all(struct xt_ledger *to, const struct xt_ledger_before *from)
{
    const struct xt_pslot_before *slots =
        (const struct xt_pslot_before *)(const void *)((const uint8_t *)from + SLOTS_OFF);
    size_t same = offsetof(struct xt_ledger, waiter);
    static_assert(offsetof(struct xt_ledger, waiter) == offsetof(struct xt_ledger_before, waiter), "head of xt_ledger");
    memcpy(to, from, same);
    to->version = XT_LEDGER_VERSION;
    to->slot_size = sizeof(struct xt_pslot);
    for (uint32_t i = 0; i < XT_MAX_WAITERS && i < atomic_load(&from->waiters_high); i++)
        read_waiter(&to->waiter[i], &from->waiter[i]);
    for (uint32_t i = 0; i < XT_LEDGER_EXPORTS; i++)
        if (from->export[i].slot)
            to->export[i] = from->export[i];
    for (uint32_t i = 0; i < from->slots_high; i++)
        read_socket(to, i, &slots[i]);
    XT_CRASH_POINT();
}

int xt_ledger_read_before(int fd)
{
    struct xt_ledger_before head;
    struct stat sb;
    size_t len = offsetof(struct xt_ledger_before, waiter);
    struct xt_ledger *l;
    int out;
    if (fstat(fd, &sb) < 0 || pread(fd, &head, len, 0) != (ssize_t)len || head.max_slots == 0 ||
        head.max_slots > XT_BITMAP_MAX || head.slots_high > head.max_slots ||
        (uint64_t)sb.st_size != SLOTS_OFF + (size_t)head.max_slots * sizeof(struct xt_pslot_before))
        return -EPROTO;
    void *from = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (from == MAP_FAILED)
        return -errno;
    int rc = xt_ledger_new(&l, &out, head.max_slots);
    if (rc == 0) {
        read_all(l, from);
        xt_ledger_close(l);
    }
    munmap(from, (size_t)sb.st_size);
    return rc < 0 ? rc : out;
}
