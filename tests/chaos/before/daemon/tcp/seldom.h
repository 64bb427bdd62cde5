/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/tcp/seldom.h: all of it stood in the record. */
#ifndef XT_TCP_SELDOM_H
#define XT_TCP_SELDOM_H

#include <stdbool.h>

#include "tests/chaos/before/names.h"

#define xt_seldom xt_conn
#define xt_tally_seldom xt_tally
#define XT_SELDOM_SIZE 0

static inline void xt_seldom_attach(struct xt_conn *c, const struct xt_seldom *r)
{
}

static inline bool xt_seldom_is_at(const struct xt_conn *c, const struct xt_seldom *r)
{
    return true;
}

static inline bool xt_seldom_begun(const struct xt_conn *c)
{
    return true;
}

static inline const struct xt_seldom *xt_seldom_of(const struct xt_conn *c)
{
    return c;
}

static inline struct xt_seldom *xt_seldom(struct xt_conn *c)
{
    return c;
}

static inline uint64_t xt_rx_urg(const struct xt_conn *c)
{
    return c->rx_urg;
}

static inline uint64_t xt_tx_urg(const struct xt_conn *c)
{
    return c->tx_urg;
}

static inline void xt_set_rx_urg(struct xt_conn *c, uint64_t off)
{
    c->rx_urg = off;
}

static inline void xt_set_tx_urg(struct xt_conn *c, uint64_t off)
{
    c->tx_urg = off;
}

struct xt_seldom_kept {
};

static inline void xt_seldom_keep(struct xt_seldom_kept *to, const struct xt_conn *c)
{
}

static inline void xt_seldom_put_back(const struct xt_conn *c, struct xt_seldom *r, const struct xt_seldom_kept *from)
{
}

#endif
