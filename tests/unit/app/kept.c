/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/app/kept.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/macros.h"
#include "proto/xt_ring.h"

#define CONNS 8u
#define SLOTS 16u
#define ARENA_USED (512u << 10) /* of the region's rings, more than the test needs */

static const struct xt_app_cfg cfg = {.max_slots = SLOTS,
                                      .sndbuf = KEPT_RING,
                                      .rcvbuf = KEPT_RING,
                                      .rcvbuf_max = KEPT_RING,
                                      .arena = 16u << 20,
                                      .buf_idle_us = 1000000};

uint8_t kept_byte(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

static int no_device(void *arg, const struct virtio_net_hdr *vnet, const void *hdr, size_t hdrlen,
                     const struct iovec *iov, unsigned niov)
{
    return 0;
}

/* ---- the process ---- */

static uint32_t address(void)
{
    return htonl(0x0a090001);
}

static void make_process(struct kept *k)
{
    static const uint8_t key[32] = "only a test knows this key";
    struct xt_stack_cfg sc = {.mac = {2}, .addr = address(), .prefix = 24, .mtu = 1500, .max_conns = CONNS};
    struct xt_stack_ops ops = {.tx = no_device};
    sc.port_min = 32768;
    sc.port_max = 60999;
    sc.ttl = 64;
    xt_tcp_cfg_default(&sc.tcp);
    MUST(xt_app_new(&k->app, &cfg) == 0);
    xt_app_stack_ops(k->app, &ops);
    MUST(xt_stack_new(&k->stack, &sc, &ops, k->state, key, k->now) == 0);
    xt_app_set_stack(k->app, k->stack);
}

void kept_run(struct kept *k, uint64_t us)
{
    for (uint64_t end = k->now + us; k->now <= end;) {
        bool work = xt_app_poll(k->app, k->now);
        xt_stack_timers(k->stack, k->now);
        work |= xt_stack_output(k->stack, k->now);
        xt_app_flush(k->app);
        uint64_t next = xt_stack_deadline(k->stack);
        if (!work || xt_app_prepare_sleep(k->app) == false)
            k->now = next > k->now && next <= end ? next : work ? k->now + 1 : end + 1;
        else
            k->now++;
    }
}

static void nothing(void *arg)
{
}

void kept_connect(struct kept *k)
{
    kept_ask(k, XT_OP_CONNECT, k->a, KEPT_PORT, 0);
    kept_run(k, 100000);
    MUST(kept_answer(k) == 0);
    struct xt_slot *l = &k->s->slots[k->l];
    uint32_t n = atomic_load(&l->acc_head) - 1;
    MUST(n == atomic_load(&l->acc_tail));
    k->b = ((const uint32_t *)(const void *)(k->s->base + xt_page_off(l->tx_page)))[n];
    atomic_fetch_or(&xt_app_hold(k->s, 0)[0], 1ULL << k->b);
    atomic_store(&l->acc_tail, n + 1);
    xt_bitmap_set(k->s->dirty, k->l);
    kept_run(k, 100000);
}

static void open_sockets(struct kept *k)
{
    uint32_t *const made[] = {&k->l, &k->a};
    for (unsigned i = 0; i < 2; i++) {
        kept_ask(k, XT_OP_SOCKET, 0, 0, 0);
        kept_run(k, 1000);
        MUST(kept_answer(k) >= 0);
        *made[i] = (uint32_t)kept_answer(k);
    }
    kept_ask(k, XT_OP_BIND, k->l, KEPT_PORT, 0);
    kept_run(k, 1000);
    MUST(kept_answer(k) == 0);
    kept_ask(k, XT_OP_LISTEN, k->l, 0, 8);
    kept_run(k, 1000);
    MUST(kept_answer(k) == 0);
    kept_connect(k);
}

void kept_start(struct kept *k)
{
    kept_start_as(k, getuid());
}

void kept_start_as(struct kept *k, uid_t uid)
{
    int fd;
    memset(k, 0, sizeof *k);
    k->now = 1000000;
    k->state_size = xt_stack_state_size(CONNS);
    k->state = mmap(NULL, k->state_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(k->state != MAP_FAILED);
    make_process(k);
    MUST(xt_session_new(k->app, getpid(), uid, "test", &k->s) == 0);
    MUST(xt_session_add_proc(k->s, getpid()) == 0);
    struct xt_msg m = {.type = XT_MSG_SESSION, .ptr = k->s, .done = nothing};
    MUST(xt_app_post(k->app, &m) == 0);
    int w = xt_session_add_waiter(k->s, 0, &fd);
    MUST(w >= 0);
    k->waiter = (uint32_t)w;
    open_sockets(k);
}

void kept_end(struct kept *k)
{
    k->app->sessions[k->s->index] = NULL;
    xt_session_free(k->s);
    xt_stack_free(k->stack);
    xt_app_free(k->app);
    munmap(k->state, k->state_size);
    free(k->saved);
}

static int take(void *arg, uint32_t id, char what, uint32_t n)
{
    const struct kept *old = arg;
    switch (what) {
    case XT_KEEP_REGION:
        return dup(old->s->memfd);
    case XT_KEEP_DOORBELL:
        return dup(old->s->doorbell);
    default:
        return dup(what == XT_KEEP_READER ? old->s->pw[n].rfd : old->s->pw[n].wfd);
    }
}

void kept_take_up(struct kept *k, const struct kept *old)
{
    *k = *old;
    make_process(k);
    MUST(xt_session_open(k->app, dup(old->s->ledger_fd), take, (void *)(uintptr_t)old, &k->s) == 0);
    xt_app_on_end(k->app, nothing);
    xt_app_revive(k->app, k->now);
}

/* ---- the client ---- */

void kept_ask(struct kept *k, uint32_t op, uint32_t slot, uint16_t port, uint64_t arg)
{
    struct xt_waiter *box = &k->s->waiters[k->waiter];
    box->op = op;
    box->slot = slot;
    box->addr = xt_addr_v4(address());
    box->port = port;
    box->arg[0] = arg;
    atomic_store(&box->cmd_seq, atomic_load(&box->cmd_seq) + 1);
    xt_bitmap_set(k->s->cmd, k->waiter);
}

int kept_answer(const struct kept *k)
{
    const struct xt_waiter *box = &k->s->waiters[k->waiter];
    return atomic_load(&box->done_seq) == atomic_load(&box->cmd_seq) ? box->result : INT_MIN;
}

uint32_t kept_write(struct kept *k, uint32_t n)
{
    struct xt_slot *sl = &k->s->slots[k->a];
    uint64_t head = atomic_load(&sl->tx_head), end = atomic_load(&sl->tx_tail) + sl->tx_size;
    end = XT_MIN(end, head + n);
    for (uint64_t at = head; at < end; at++)
        k->s->base[xt_page_off(sl->tx_page) + (at & (sl->tx_size - 1))] = kept_byte(at);
    atomic_store(&sl->tx_head, end);
    xt_bitmap_set(k->s->dirty, k->a);
    return (uint32_t)(end - head);
}

uint64_t kept_read(struct kept *k, uint64_t n)
{
    struct xt_slot *sl = &k->s->slots[k->b];
    uint64_t head = atomic_load(&sl->rx_head), tail = atomic_load(&sl->rx_tail), at = tail;
    uint64_t end = tail + XT_MIN(head - tail, n);
    while (at < end) {
        struct xt_rx_part p = xt_rx_part(sl, at, end - at);
        for (uint64_t stop = at + p.len; at < stop; at++)
            MUST(k->s->base[p.off + (at & (p.size - 1))] == kept_byte(at));
    }
    atomic_store(&sl->rx_tail, end);
    xt_bitmap_set(k->s->dirty, k->b);
    return end - tail;
}

/* ---- what lives on ---- */

struct part {
    void *at;
    size_t len;
};

static unsigned parts(const struct kept *k, struct part p[5])
{
    struct xt_session *s = k->s;
    uint8_t *ready = (uint8_t *)(uintptr_t)xt_app_ready(s, k->waiter);
    p[0] = (struct part){k->state, k->state_size};
    p[1] = (struct part){s->l, (size_t)((uint8_t *)(s->rare + SLOTS) - (uint8_t *)s->l)};
    p[2] = (struct part){s->base, s->hold_off + s->hold_stride};
    p[3] = (struct part){ready, s->ready_stride};
    p[4] = (struct part){s->base + s->region->arena_off, ARENA_USED};
    return 5;
}

void kept_save(struct kept *k)
{
    struct part p[5];
    unsigned n = parts(k, p);
    size_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += p[i].len;
    k->saved = k->saved ? k->saved : malloc(sum);
    uint8_t *to = k->saved;
    for (unsigned i = 0; i < n; to += p[i++].len)
        memcpy(to, p[i].at, p[i].len);
}

void kept_restore(const struct kept *k)
{
    struct part p[5];
    unsigned n = parts(k, p);
    const uint8_t *from = k->saved;
    for (unsigned i = 0; i < n; from += p[i++].len)
        memcpy(p[i].at, from, p[i].len);
}

bool kept_changed(const struct kept *k)
{
    struct part p[5];
    unsigned n = parts(k, p);
    const uint8_t *was = k->saved;
    for (unsigned i = 0; i < n; was += p[i++].len)
        if (memcmp(p[i].at, was, p[i].len) != 0)
            return true;
    return false;
}
