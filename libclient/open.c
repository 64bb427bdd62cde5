/* SPDX-License-Identifier: Apache-2.0
 * New sockets, some made in advance, and connected without waiting for the daemon's word, as a program that makes one connection after
 * the other wants them. */
#include <fcntl.h>

#include "libclient/internal.h"

/* ---- slots in advance ---- */

static int take_spare(struct xtcp *x)
{
    for (unsigned k = 0; k < XT_SPARES; k++) {
        uint32_t v = atomic_load_explicit(&x->spare[k], memory_order_relaxed) ? atomic_exchange(&x->spare[k], 0) : 0;
        if (v)
            return (int)v - 1;
    }
    return -EAGAIN;
}

static void keep_spare(struct xtcp *x, uint32_t i)
{
    for (unsigned k = 0; k < XT_SPARES; k++) {
        uint32_t none = 0;
        if (atomic_compare_exchange_strong(&x->spare[k], &none, i + 1))
            return;
    }
    atomic_fetch_and(&x->hold[i / 64], ~(1ULL << (i % 64))); /* another thread has filled it meanwhile */
    xtcp_mark(x, (int)i);
}

void xtcp_spares_after_fork(struct xtcp *x)
{
    for (unsigned k = 0; k < XT_SPARES; k++)
        atomic_store(&x->spare[k], 0);
}

/* Asks the daemon for a socket, and for `more` beside it. */
static int ask(struct xtcp *x, unsigned more)
{
    uint32_t got[1 + XT_SPARES] = {0};
    struct xtcp_cmd c = {.op = XT_OP_SOCKET, .arg = {more}, .data = got, .data_len = sizeof got};
    int s = xtcp_call(x, &c);
    for (uint32_t k = 0; s >= 0 && more && k < got[0] && k < XT_SPARES; k++)
        if (got[1 + k] < x->max_slots)
            keep_spare(x, got[1 + k]);
    return s;
}

static int new_socket(struct xtcp *x, unsigned more)
{
    int s = xtcp_alive(x) ? take_spare(x) : -EAGAIN;
    if (s < 0)
        s = ask(x, more);
    if (s >= 0)
        xtcp_know(x, s);
    return s;
}

XTCP_API int xtcp_socket(struct xtcp *x)
{
    return new_socket(x, 0);
}

/* ---- destinations ---- */

static _Atomic uint64_t *place_of(struct xtcp *x, const struct xtcp_cmd *c, uint64_t *key)
{
    *key = (uint64_t)xt_addr_to_v4(&c->addr) << 16 | c->port;
    return &x->reached[(*key * 0x9e3779b97f4a7c15ULL) >> 60];
}
_Static_assert(XTCP_DESTINATIONS == 16, "place_of");

/* Where a connect could begin lately, the next one most likely can: then an error of the kind that connect() tells at once, as there
 * being no route, may as well come as that of a connect that failed. After one that has, all are asked for again. */
static bool is_known(struct xtcp *x, const struct xtcp_cmd *c)
{
    uint64_t key;
    _Atomic uint64_t *place = place_of(x, c, &key);
    uint32_t refused = atomic_load_explicit(&x->region->refused, memory_order_relaxed);
    if (refused != atomic_load_explicit(&x->refused, memory_order_relaxed)) {
        for (unsigned k = 0; k < XTCP_DESTINATIONS; k++)
            atomic_store(&x->reached[k], 0);
        atomic_store(&x->refused, refused);
    }
    return atomic_load_explicit(place, memory_order_relaxed) == key && c->port;
}

static void remember(struct xtcp *x, const struct xtcp_cmd *c)
{
    uint64_t key;
    _Atomic uint64_t *place = place_of(x, c, &key);
    atomic_store_explicit(place, key, memory_order_relaxed);
}

/* ---- connecting ---- */

/* The daemon finds the mark before it carries out any other command for the slot. Until then `cond` and `state` are this library's. */
static int connect_unasked(struct xtcp *x, const struct xtcp_cmd *c)
{
    int s = new_socket(x, XT_SPARES);
    if (s < 0)
        return s;
    struct xt_slot *sl = &x->slots[s];
    sl->remote_be = xt_addr_to_v4(&c->addr);
    sl->remote_port = c->port;
    atomic_store(&sl->oflags, (uint32_t)O_NONBLOCK | (uint32_t)XT_OFLAG_CONNECT);
    atomic_store(&sl->state, XT_SYN_SENT);
    atomic_store(&sl->cond, XT_COND_CONNECTING);
    atomic_fetch_or(&sl->want, (uint32_t)XT_WANT_CONNECT); /* releases them all */
    xtcp_mark(x, s);
    return s;
}

void xtcp_settle_connect(struct xtcp *x, int s, struct xt_slot *sl)
{
    struct xt_tcp_info_abi info;
    struct xtcp_cmd c = {.op = XT_OP_INFO, .slot = s, .data = &info, .data_len = sizeof info};
    if (atomic_load(&sl->want) & XT_WANT_CONNECT)
        xtcp_call(x, &c);
}

XTCP_API int xtcp_open(struct xtcp *x, const struct sockaddr *addr, socklen_t alen, int *s)
{
    int32_t result = 0;
    struct xtcp_cmd c = {.op = XT_OP_OPEN, .data = &result, .data_len = sizeof result};
    int rc = xtcp_from_sockaddr(addr, alen, &c);
    if (rc < 0)
        return rc;
    if (is_known(x, &c)) {
        rc = connect_unasked(x, &c);
        if (rc >= 0)
            *s = rc;
        return rc < 0 ? rc : -EINPROGRESS;
    }
    if ((rc = xtcp_call(x, &c)) < 0)
        return rc;
    *s = rc;
    xtcp_know(x, rc);
    if (result == 0)
        remember(x, &c);
    atomic_fetch_or(&x->slots[rc].oflags, (uint32_t)O_NONBLOCK | (result == 0 ? (uint32_t)XT_OFLAG_CONNECT : 0));
    return result == 0 ? -EINPROGRESS : result;
}
