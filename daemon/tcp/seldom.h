/* SPDX-License-Identifier: Apache-2.0
 * What a connection keeps of which many never need anything lies apart from its record, as memory that nobody has touched costs
 * nothing: most of it comes into use when something is lost, or the congestion window was the limit. There is one for each record, in
 * the same mapping; whoever makes the record says how far away. So a copy of a record must not be asked for it. */
#ifndef XT_TCP_SELDOM_H
#define XT_TCP_SELDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "daemon/tcp/conn.h"

#define XT_SELDOM_SIZE sizeof(struct xt_seldom)

extern const struct xt_seldom xt_seldom_none;

static inline int32_t xt_seldom_distance(const struct xt_conn *c, const struct xt_seldom *r)
{
    return (int32_t)(((const char *)r - (const char *)c) / XT_RECORD_ALIGN);
}

/* After xt_tcp_init(). */
static inline void xt_seldom_attach(struct xt_conn *c, const struct xt_seldom *r)
{
    c->seldom = xt_seldom_distance(c, r);
}

static inline bool xt_seldom_is_at(const struct xt_conn *c, const struct xt_seldom *r)
{
    return c->seldom == xt_seldom_distance(c, r);
}

/* Was anything ever written? */
static inline bool xt_seldom_begun(const struct xt_conn *c)
{
    return c->has_seldom;
}

static inline struct xt_seldom *xt_seldom_place(const struct xt_conn *c)
{
    return (struct xt_seldom *)(void *)((char *)(uintptr_t)c + (int64_t)c->seldom * XT_RECORD_ALIGN);
}

/* To look at: all zero as long as nothing was written. */
static inline const struct xt_seldom *xt_seldom_of(const struct xt_conn *c)
{
    return c->has_seldom ? xt_seldom_place(c) : &xt_seldom_none;
}

/* To write. */
static inline struct xt_seldom *xt_seldom(struct xt_conn *c)
{
    struct xt_seldom *r = xt_seldom_place(c);
    if (!c->has_seldom)
        memset(r, 0, sizeof *r);
    c->has_seldom = 1;
    return r;
}

/* Where urgent data ends, as stream offsets; 0: there was none. */
static inline uint64_t xt_rx_urg(const struct xt_conn *c)
{
    return c->urg & XT_URG_RX ? xt_seldom_of(c)->rx_urg : 0;
}

static inline uint64_t xt_tx_urg(const struct xt_conn *c)
{
    return c->urg & XT_URG_TX ? xt_seldom_of(c)->tx_urg : 0;
}

static inline void xt_set_rx_urg(struct xt_conn *c, uint64_t off)
{
    xt_seldom(c)->rx_urg = off;
    c->urg |= XT_URG_RX;
}

static inline void xt_set_tx_urg(struct xt_conn *c, uint64_t off)
{
    xt_seldom(c)->tx_urg = off;
    c->urg |= XT_URG_TX;
}

/* A copy, for who may have to put it back. */
struct xt_seldom_kept {
    struct xt_seldom was;
};

static inline void xt_seldom_keep(struct xt_seldom_kept *to, const struct xt_conn *c)
{
    if (c->has_seldom)
        to->was = *xt_seldom_place(c);
}

/* To `r`, where that of `c` lies. */
static inline void xt_seldom_put_back(const struct xt_conn *c, struct xt_seldom *r, const struct xt_seldom_kept *from)
{
    if (c->has_seldom)
        *r = from->was;
}

#endif
