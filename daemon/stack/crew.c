/* SPDX-License-Identifier: Apache-2.0
 * What is for another stack of the same address: found out from the tables of ports, which all may read, and passed on as the packet
 * that it is. */
#include "daemon/stack/crew.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/fanout.h"
#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"

#define LANE_LEN 1024u        /* packets on their way from one stack to another */
#define LANE_BYTES (8u << 20) /* likewise */
#define BURST 64u             /* taken from one other stack in one call */

struct xt_passed {
    struct xt_visit visit;
    uint32_t len;
    uint16_t gso_size;
    bool arp, local, trusted, group;
    uint8_t mac[6];
    uint8_t data[]; /* an IP packet, or ARP */
};

/* One producer, one consumer. */
struct lane {
    struct xt_passed *item[LANE_LEN];
    _Atomic uint32_t head __attribute__((aligned(64)));
    uint64_t bytes_in;
    _Atomic uint32_t tail __attribute__((aligned(64)));
    _Atomic uint64_t bytes_out;
};

struct xt_crew {
    uint32_t n;
    pthread_mutex_t ports_lock;
    struct xt_port *ports[XT_CREW_MAX];
    struct lane *lane[XT_CREW_MAX][XT_CREW_MAX]; /* from, to */
};

int xt_crew_new(struct xt_crew **out, uint32_t n)
{
    if (n == 0 || n > XT_CREW_MAX)
        return -EINVAL;
    struct xt_crew *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->n = n;
    pthread_mutex_init(&c->ports_lock, NULL);
    for (uint32_t i = 0; i < n * n; i++) {
        struct lane *l = i / n == i % n ? NULL : aligned_alloc(64, sizeof *l);
        if (i / n != i % n && !l) {
            xt_crew_free(c);
            return -ENOMEM;
        }
        if (l)
            memset(l, 0, sizeof *l);
        c->lane[i / n][i % n] = l;
    }
    *out = c;
    return 0;
}

static void lane_free(struct lane *l)
{
    for (uint32_t at = l->tail; at != l->head; at++)
        free(l->item[at % LANE_LEN]);
    free(l);
}

void xt_crew_free(struct xt_crew *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n * c->n; i++)
        if (c->lane[i / c->n][i % c->n])
            lane_free(c->lane[i / c->n][i % c->n]);
    pthread_mutex_destroy(&c->ports_lock);
    free(c);
}

void xt_crew_join(struct xt_stack *s)
{
    if (s->ops.crew)
        s->ops.crew->ports[s->ops.shard] = s->ports;
}

/* ---- ports ---- */

void xt_crew_lock_ports(struct xt_stack *s)
{
    if (s->ops.crew)
        pthread_mutex_lock(&s->ops.crew->ports_lock);
}

void xt_crew_unlock_ports(struct xt_stack *s)
{
    if (s->ops.crew)
        pthread_mutex_unlock(&s->ops.crew->ports_lock);
}

uint32_t xt_crew_size(const struct xt_stack *s)
{
    return s->ops.crew ? s->ops.crew->n : 1;
}

const struct xt_port *xt_crew_port(const struct xt_stack *s, uint32_t shard, uint16_t port)
{
    const struct xt_port *table = s->ops.crew ? s->ops.crew->ports[shard] : s->ports;
    return table ? &table[port] : NULL;
}

static uint32_t connections(const struct xt_port *p)
{
    return p ? XT_PORT_GET(p->conns[0]) + XT_PORT_GET(p->conns[1]) + XT_PORT_GET(p->conns[2]) + XT_PORT_GET(p->conns[3])
             : 0;
}

uint32_t xt_crew_home(const struct xt_stack *s, const struct xt_flow *flow)
{
    return s->ops.crew ? xt_fanout(s->ops.crew->n, ntohl(xt_addr_to_v4(&flow->remote)), flow->rport, flow->lport)
                       : s->ops.shard;
}

bool xt_crew_others_use(const struct xt_stack *s, uint16_t port)
{
    for (uint32_t k = 0; s->ops.crew && k < s->ops.crew->n; k++) {
        const struct xt_port *p = k == s->ops.shard ? NULL : xt_crew_port(s, k, port);
        if (p && (XT_PORT_GET(p->astray) || XT_PORT_GET(p->listeners) || xt_ports_is_bound(p)))
            return true;
    }
    return false;
}

/* ---- whose is it? ---- */

/* The next stack that was not asked and may have the connection, or XT_CREW_MAX. */
static uint32_t next_with(const struct xt_stack *s, const struct xt_flow *flow, uint16_t asked)
{
    uint32_t n = s->ops.crew->n, home = xt_crew_home(s, flow);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = (home + i) % n;
        const struct xt_port *p = asked >> k & 1 ? NULL : xt_crew_port(s, k, flow->lport);
        if (p && (k == home ? connections(p) : XT_PORT_GET(p->astray)))
            return k;
    }
    return XT_CREW_MAX;
}

bool xt_crew_others_have(const struct xt_stack *s, const struct xt_flow *flow)
{
    return s->ops.crew && next_with(s, flow, (uint16_t)(1u << s->ops.shard)) < XT_CREW_MAX;
}

/* The stack whose listeners get the flow; without one, the asker. Where the network's packets of it come to they stay, as long as every
 * listener then has its part of all flows: a stack that has fewer listeners than others gives away what is too much for them. */
static uint32_t listening(const struct xt_stack *s, const struct xt_flow *flow)
{
    uint32_t n = s->ops.crew->n, home = xt_crew_home(s, flow), count[XT_CREW_MAX] = {0}, total = 0, lack = 0;
    for (uint32_t k = 0; k < n; k++) {
        const struct xt_port *p = xt_crew_port(s, k, flow->lport);
        count[k] = p ? XT_PORT_GET(p->listeners) * n : 0;
        total += count[k] / n;
    }
    if (total == 0)
        return s->ops.shard;
    uint64_t hash = count[home] < total ? xt_siphash(&s->port_key, flow, sizeof *flow) >> 32 : 0;
    for (uint32_t k = 0; k < n; k++)
        lack += count[k] > total ? count[k] - total : 0;
    if (lack == 0 || hash % total < count[home])
        return home;
    uint32_t at = (uint32_t)(hash / total % lack), k = 0;
    for (; k + 1 < n && at >= (count[k] > total ? count[k] - total : 0); k++)
        at -= count[k] > total ? count[k] - total : 0;
    return k;
}

/* Who has the connection is asked first; then who has one that only waits for its end, for a new one may take its place; then the
 * listener. Each passes on what is not its own, and notes that it was asked. */
uint32_t xt_crew_whose(struct xt_stack *s, const struct xt_flow *flow, uint32_t found, struct xt_visit *v)
{
    uint32_t me = s->ops.shard, to;
    for (; v->round != XT_VISIT_LISTENER; v->round++, v->asked = 0) {
        if (found != XT_FLOW_NONE && (v->round == XT_VISIT_ANY || s->conns[found].state != XT_TIME_WAIT))
            return me;
        v->asked |= (uint16_t)(1u << me);
        if ((to = next_with(s, flow, v->asked)) < XT_CREW_MAX)
            return to;
    }
    const uint16_t mine = (uint16_t)(1u << me);
    /* Another one has found that it is ours. But who had a listener then may have none any more, while others have. */
    if (v->asked && (v->asked & mine || XT_PORT_GET(s->ports[flow->lport].listeners)))
        return me;
    v->asked |= mine;
    return listening(s, flow);
}

uint32_t xt_crew_whose_error(struct xt_stack *s, const struct xt_flow *flow, struct xt_visit *v)
{
    v->asked |= (uint16_t)(1u << s->ops.shard);
    uint32_t to = next_with(s, flow, v->asked);
    return to < XT_CREW_MAX ? to : s->ops.shard;
}

/* ---- passing on ---- */

/* Room for a packet, or NULL and counted: to its sender it is lost. */
static struct xt_passed *make(struct xt_stack *s, uint32_t to, size_t len)
{
    struct lane *l = s->ops.crew->lane[s->ops.shard][to];
    uint32_t head = atomic_load_explicit(&l->head, memory_order_relaxed);
    bool full = head - atomic_load_explicit(&l->tail, memory_order_acquire) == LANE_LEN ||
                l->bytes_in - atomic_load_explicit(&l->bytes_out, memory_order_relaxed) + len > LANE_BYTES;
    struct xt_passed *p = full ? NULL : malloc(sizeof *p + len);
    if (!p) {
        s->stats.drop_crew_full++;
        return NULL;
    }
    *p = (struct xt_passed){.len = (uint32_t)len};
    return p;
}

static void put(struct xt_stack *s, uint32_t to, struct xt_passed *p)
{
    struct lane *l = s->ops.crew->lane[s->ops.shard][to];
    uint32_t head = atomic_load_explicit(&l->head, memory_order_relaxed);
    l->bytes_in += p->len;
    l->item[head % LANE_LEN] = p;
    atomic_store_explicit(&l->head, head + 1, memory_order_release); /* pairs with the acquire of take() */
    s->kicks |= 1u << to;
    s->stats.crew_out++;
}

void xt_crew_pass(struct xt_stack *s, uint32_t to, const struct xt_visit *v, const uint8_t *pkt, size_t len,
                  const struct xt_rx *rx)
{
    struct xt_passed *p = make(s, to, len);
    if (!p)
        return;
    p->visit = *v;
    p->local = rx->mac == NULL;
    p->trusted = true; /* it was verified on the way here */
    p->group = rx->group;
    p->gso_size = rx->gso_size;
    if (rx->mac)
        memcpy(p->mac, rx->mac, sizeof p->mac);
    memcpy(p->data, pkt, len);
    put(s, to, p);
}

void xt_crew_pass_pieces(struct xt_stack *s, uint32_t to, const struct xt_visit *v, const struct iovec *iov,
                         unsigned niov)
{
    size_t len = 0, at = 0;
    for (unsigned i = 0; i < niov; i++)
        len += iov[i].iov_len;
    struct xt_passed *p = make(s, to, len);
    if (!p)
        return;
    p->visit = *v;
    p->local = p->trusted = true;
    for (unsigned i = 0; i < niov; at += iov[i++].iov_len)
        memcpy(p->data + at, iov[i].iov_base, iov[i].iov_len);
    put(s, to, p);
}

void xt_crew_tell_arp(struct xt_stack *s, const uint8_t *pkt, size_t len)
{
    for (uint32_t k = 0; s->ops.crew && k < s->ops.crew->n; k++) {
        struct xt_passed *p = k == s->ops.shard ? NULL : make(s, k, len);
        if (!p)
            continue;
        p->arp = true;
        memcpy(p->data, pkt, len);
        put(s, k, p);
    }
}

uint32_t xt_stack_kicks(struct xt_stack *s)
{
    uint32_t kicks = s->kicks;
    s->kicks = 0;
    return kicks;
}

/* ---- taking ---- */

static void handle(struct xt_stack *s, const struct xt_passed *p)
{
    struct xt_rx rx = {.mac = p->local ? NULL : p->mac,
                       .trusted = p->trusted,
                       .group = p->group,
                       .gso_size = p->gso_size,
                       .visit = p->visit};
    s->stats.crew_in++;
    if (p->arp)
        xt_arp_overheard(s, p->data, p->len);
    else
        xt_ip_input(s, p->data, p->len, &rx);
}

static struct xt_passed *take(struct lane *l)
{
    uint32_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&l->head, memory_order_acquire))
        return NULL;
    struct xt_passed *p = l->item[tail % LANE_LEN];
    atomic_store_explicit(&l->bytes_out, atomic_load_explicit(&l->bytes_out, memory_order_relaxed) + p->len,
                          memory_order_relaxed);
    atomic_store_explicit(&l->tail, tail + 1, memory_order_release); /* its place may be filled anew */
    return p;
}

bool xt_stack_passed(struct xt_stack *s, uint64_t now_us)
{
    bool any = false;
    struct xt_passed *p;
    for (uint32_t k = 0; s->ops.crew && k < s->ops.crew->n; k++)
        for (unsigned n = 0; k != s->ops.shard && n < BURST && (p = take(s->ops.crew->lane[k][s->ops.shard])); n++) {
            s->now = now_us;
            handle(s, p);
            free(p);
            any = true;
        }
    return any;
}

bool xt_stack_passed_any(const struct xt_stack *s)
{
    for (uint32_t k = 0; s->ops.crew && k < s->ops.crew->n; k++) {
        const struct lane *l = k == s->ops.shard ? NULL : s->ops.crew->lane[k][s->ops.shard];
        if (l && atomic_load(&l->head) != atomic_load_explicit(&l->tail, memory_order_relaxed))
            return true;
    }
    return false;
}
