/* SPDX-License-Identifier: Apache-2.0
 * The stack as a whole: made over a state region, configured, freed, looked at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/stack/internal.h"
#include "daemon/tcp/board.h"

#define IP_TCP_HDR 40u      /* without options: what the MSS leaves out */
#define IP_TCP_HDR_MAX 120u /* the headers that a super-segment may have */
/* Of connections to ourselves, where nothing is lost and nobody else is in the way: what is in flight is bounded by the rings. */
#define LOCAL_CWND 255u    /* segments */
#define LOCAL_DELACK 1000u /* microseconds */
#define REASS_MEM (XT_REASS_MAX * 65600u)

struct xt_state_sizes xt_stack_sizes(uint32_t max_conns)
{
    return (struct xt_state_sizes){.undo = sizeof(struct xt_undo),
                                   .record = sizeof(struct xt_conn),
                                   .seldom = XT_SELDOM_SIZE,
                                   .board = sizeof(struct xt_board),
                                   .max_conns = max_conns,
                                   .boards = xt_board_count(max_conns)};
}

struct xt_state_places xt_stack_places(const struct xt_state_sizes *z)
{
    struct xt_state_places p = {.undo = sizeof(struct xt_state_hdr)};
    p.records = XT_ALIGN_UP(p.undo + z->undo, (size_t)64);
    p.seldoms = XT_ALIGN_UP(p.records + z->max_conns * z->record, (size_t)64);
    p.boards = XT_ALIGN_UP(p.seldoms + z->max_conns * z->seldom, (size_t)64);
    p.ipopts = XT_ALIGN_UP(p.boards + z->boards * z->board, (size_t)64);
    p.end = p.ipopts + (size_t)z->max_conns * sizeof(struct xt_ipopts);
    return p;
}

size_t xt_stack_state_size(uint32_t max_conns)
{
    struct xt_state_sizes sizes = xt_stack_sizes(max_conns);
    return xt_stack_places(&sizes).end;
}

static bool cfg_ok(const struct xt_stack_cfg *c)
{
    return c->addr && c->prefix <= 32 && c->mtu >= 576 && c->max_conns && c->max_conns < XT_NO_CONN &&
           c->nroutes <= XT_MAX_ROUTES && c->port_min && c->port_min <= c->port_max;
}

/* Takes what can change at run time; the MSS and super-segments are bounded by the MTU and the length of a datagram. */
static int configure(struct xt_stack *s, const struct xt_stack_cfg *cfg)
{
    struct xt_stack_cfg old = s->cfg;
    uint16_t mss = (uint16_t)(cfg->mtu - IP_TCP_HDR);
    s->cfg = *cfg;
    if (xt_route_setup(s) != 0) {
        s->cfg = old;
        if (old.addr)
            xt_route_setup(s);
        return -EINVAL;
    }
    s->cfg.ttl = cfg->ttl ? cfg->ttl : 64;
    s->cfg.tcp.mss = cfg->tcp.mss ? XT_MIN(cfg->tcp.mss, mss) : mss;
    s->cfg.tcp.gso_max = XT_MIN(cfg->tcp.gso_max, 65535 - IP_TCP_HDR_MAX);
    s->local_tcp = s->cfg.tcp;
    s->local_tcp.init_cwnd = LOCAL_CWND;
    s->local_tcp.quickack = 0;
    s->local_tcp.delack = XT_MIN(cfg->tcp.delack, LOCAL_DELACK);
    return 0;
}

int xt_stack_reconfigure(struct xt_stack *s, const struct xt_stack_cfg *cfg)
{
    if (!cfg_ok(cfg) || memcmp(cfg->mac, s->cfg.mac, 6) != 0 || cfg->addr != s->cfg.addr ||
        cfg->prefix != s->cfg.prefix || cfg->max_conns != s->cfg.max_conns)
        return -EINVAL;
    return configure(s, cfg);
}

/* One key for each use, so that what the network sees of one tells nothing of another. */
static struct xt_key derive(const uint8_t key[32], const char *label)
{
    struct xt_key half, out;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(half.b, key + 16 * i, 16);
        uint64_t h = xt_siphash(&half, label, strlen(label));
        memcpy(out.b + 8 * i, &h, 8);
    }
    return out;
}

static int init_state(struct xt_stack *s, void *state)
{
    struct xt_state_sizes sizes = xt_stack_sizes(s->cfg.max_conns);
    struct xt_state_places at = xt_stack_places(&sizes);
    struct xt_state_hdr *h = state, want = {.magic = XT_STATE_MAGIC,
                                            .version = XT_STATE_VERSION,
                                            .max_conns = s->cfg.max_conns,
                                            .record_size = sizeof(struct xt_conn),
                                            .board_size = sizeof(struct xt_board),
                                            .records_off = (uint32_t)at.records};
    if (h->magic == 0)
        *h = want;
    if (memcmp(h, &want, offsetof(struct xt_state_hdr, high_water)) != 0 || h->high_water > h->max_conns)
        return -EPROTO;
    s->hdr = h;
    s->undo = (struct xt_undo *)(void *)((uint8_t *)state + at.undo);
    s->conns = (struct xt_conn *)(void *)((uint8_t *)state + at.records);
    s->seldoms = (struct xt_seldom *)(void *)((uint8_t *)state + at.seldoms);
    s->ipopts = (struct xt_ipopts *)(void *)((uint8_t *)state + at.ipopts);
    return xt_boards_init(s, (uint8_t *)state + at.boards);
}

static int init_tables(struct xt_stack *s, const uint8_t key[32])
{
    struct xt_key flow_key = derive(key, "flows");
    s->isn_key = derive(key, "isn");
    s->port_key = derive(key, "ports");
    s->cookie_key = derive(key, "cookies");
    s->pmtu_key = derive(key, "paths");
    s->neigh_key = derive(key, "neighbours");
    s->fo_key = derive(key, "fast open");
    const struct xt_flow_keys keys = {.records = s->conns,
                                      .size = sizeof *s->conns,
                                      .local = offsetof(struct xt_conn, local.addr),
                                      .remote = offsetof(struct xt_conn, remote.addr),
                                      .lport = offsetof(struct xt_conn, local.port),
                                      .rport = offsetof(struct xt_conn, remote.port)};
    const struct xt_key overload_key = derive(key, "overload");
    /* RFC 6056 section 3.3.3 wants a counter; one that began anew at 0 would give a successor the ports that this process had first,
     * and peers may still know connections there. */
    s->next_port = (uint32_t)xt_siphash(&s->port_key, &s->now, sizeof s->now);
    s->scratch_size = 65536;
    s->side = calloc(s->cfg.max_conns, sizeof *s->side);
    s->ports = calloc(65536, sizeof *s->ports);
    s->reass_mem = calloc(1, REASS_MEM);
    s->local = calloc(XT_LOCAL_QUEUE, sizeof *s->local);
    s->scratch = calloc(XT_SCRATCH_SLOTS + 1, s->scratch_size);
    if (!s->side || !s->ports || !s->reass_mem || !s->local || !s->scratch)
        return -ENOMEM;
    s->build = s->scratch + (size_t)XT_SCRATCH_SLOTS * s->scratch_size;
    if (xt_overload_init(&s->overload, &overload_key) != 0 ||
        xt_flowmap_init(&s->flows, s->cfg.max_conns, &flow_key, &keys) != 0 ||
        xt_wheel_init(&s->wheel, s->cfg.max_conns, s->now) != 0 || xt_wheel_init(&s->misc, XT_TIMER_COUNT, s->now) != 0)
        return -ENOMEM;
    if (s->ops.shard == 0)
        xt_wheel_set(&s->misc, XT_TIMER_ANNOUNCE, 0);
    else
        s->announced = XT_ANNOUNCED_TWICE;
    return 0;
}

int xt_stack_new(struct xt_stack **out, const struct xt_stack_cfg *cfg, const struct xt_stack_ops *ops, void *state,
                 const uint8_t key[32], uint64_t now_us)
{
    if (!cfg_ok(cfg))
        return -EINVAL;
    struct xt_stack *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->ops = *ops;
    xt_stack_at(s, now_us);
    int r = configure(s, cfg);
    if (r == 0)
        r = init_state(s, state);
    if (r == 0)
        r = init_tables(s, key);
    if (r == 0)
        r = xt_sparse_begin(s);
    if (r == 0)
        xt_conn_rebuild(s);
    if (s->hdr && s->hdr->high_water)
        xt_cookie_revive(s);
    if (r != 0) {
        xt_stack_free(s);
        return r;
    }
    xt_crew_join(s);
    *out = s;
    return 0;
}

void xt_stack_free(struct xt_stack *s)
{
    if (!s)
        return;
    xt_overload_fini(&s->overload);
    xt_flowmap_fini(&s->flows);
    xt_wheel_fini(&s->wheel);
    xt_wheel_fini(&s->misc);
    free(s->side);
    free(s->board_free);
    free(s->board_lent);
    xt_sparse_end(s);
    free(s->ports);
    free(s->reass_mem);
    free(s->local);
    xt_capture_end(s);
    free(s->scratch);
    free(s);
}

unsigned xt_stack_neighbours(const struct xt_stack *s, struct xt_neigh_info *out, unsigned n, uint64_t now_us)
{
    unsigned k = 0;
    for (unsigned i = 0; i < XT_NEIGH_MAX && k < n; i++) {
        const struct xt_neigh *e = &s->neigh[i];
        if (e->state == XT_NEIGH_FREE)
            continue;
        bool aged = e->state == XT_NEIGH_REACHABLE && now_us >= e->until;
        out[k] = (struct xt_neigh_info){
            .addr = e->addr, .state = aged ? XT_NEIGH_STALE : e->state, .age_us = now_us - e->since};
        memcpy(out[k++].mac, e->mac, 6);
    }
    return k;
}

const struct xt_stack_stats *xt_stack_stats(const struct xt_stack *s)
{
    return &s->stats;
}

const struct xt_tcp_stats *xt_stack_tcp_stats(const struct xt_stack *s)
{
    return &s->tcp_stats;
}

const struct xt_stack_cfg *xt_stack_cfg(const struct xt_stack *s)
{
    return &s->cfg;
}
