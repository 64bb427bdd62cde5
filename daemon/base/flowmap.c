/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/flowmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const struct xt_flowmap *m, const struct xt_flow *flow)
{
    return (uint32_t)xt_siphash(&m->key, flow, sizeof *flow);
}

#define CHAINS_AT_FIRST 16u

static uint32_t *chain_of(const struct xt_flowmap *m, uint32_t hash)
{
    uint32_t n = hash & m->mask;
    return &m->heads[n < m->split ? hash & (2 * m->mask + 1) : n];
}

static bool is_end(uint32_t at)
{
    return at == 0 || at == XT_FLOW_LAST;
}

/* The next chain that is not split gives its entries with the next bit of the hash to a new one. */
static void split_one(struct xt_flowmap *m)
{
    uint32_t bit = m->mask + 1, *at = &m->heads[m->split], *to = &m->heads[m->split + bit];
    while (!is_end(*at)) {
        struct xt_flow_entry *e = &m->entries[*at - 1];
        if (e->hash & bit) {
            *to = *at;
            *at = e->next;
            to = &e->next;
        } else {
            at = &e->next;
        }
    }
    *to = XT_FLOW_LAST;
    if (++m->split == bit) {
        m->mask = 2 * m->mask + 1;
        m->split = 0;
    }
}

int xt_flowmap_init(struct xt_flowmap *m, uint32_t max, const struct xt_key *key, const struct xt_flow_keys *keys)
{
    *m = (struct xt_flowmap){.mask = CHAINS_AT_FIRST - 1, .max = max, .key = *key, .keys = *keys};
    m->recent = calloc(XT_FLOW_RECENT, sizeof *m->recent);
    m->heads = calloc((size_t)max + CHAINS_AT_FIRST, sizeof *m->heads);
    m->entries = calloc(max ? max : 1, sizeof *m->entries);
    if (m->recent && m->heads && m->entries)
        return 0;
    xt_flowmap_fini(m);
    return -ENOMEM;
}

void xt_flowmap_fini(struct xt_flowmap *m)
{
    free(m->recent);
    free(m->heads);
    free(m->entries);
    m->recent = m->heads = NULL;
    m->entries = NULL;
}

static bool is_flow(const struct xt_flowmap *m, uint32_t i, const struct xt_flow *flow)
{
    const struct xt_flow_keys *k = &m->keys;
    const uint8_t *record = (const uint8_t *)k->records + (size_t)i * k->size;
    uint64_t a[4], b[4];
    uint16_t lport, rport;
    if (!m->entries[i].next)
        return false;
    memcpy(a, record + k->local, 16);
    memcpy(a + 2, record + k->remote, 16);
    memcpy(&lport, record + k->lport, sizeof lport);
    memcpy(&rport, record + k->rport, sizeof rport);
    memcpy(b, flow, sizeof b);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0 && lport == flow->lport &&
           rport == flow->rport;
}

static uint32_t find(const struct xt_flowmap *m, const struct xt_flow *flow, uint32_t hash)
{
    for (uint32_t at = *chain_of(m, hash); !is_end(at); at = m->entries[at - 1].next) {
        const struct xt_flow_entry *e = &m->entries[at - 1];
        if (e->hash == hash && is_flow(m, at - 1, flow))
            return at - 1;
    }
    return XT_FLOW_NONE;
}

/* Who chooses flows that fall on one place only makes finding them as slow as if there were none. */
static uint32_t *recent_of(const struct xt_flowmap *m, const struct xt_flow *flow)
{
    uint32_t addr;
    memcpy(&addr, flow->remote.b + 12, sizeof addr);
    uint32_t mix = (addr ^ ((uint32_t)flow->rport << 16 | flow->lport)) * 0x9e3779b1u;
    return &m->recent[mix / (UINT32_MAX / XT_FLOW_RECENT + 1)];
}

uint32_t xt_flowmap_find(const struct xt_flowmap *m, const struct xt_flow *flow)
{
    uint32_t *recent = recent_of(m, flow);
    if (is_flow(m, *recent, flow))
        return *recent;
    uint32_t i = find(m, flow, hash_of(m, flow));
    if (i != XT_FLOW_NONE)
        *recent = i;
    return i;
}

int xt_flowmap_add(struct xt_flowmap *m, const struct xt_flow *flow, uint32_t i)
{
    struct xt_flow_entry *e = &m->entries[i];
    uint32_t hash = hash_of(m, flow);
    if (e->next || find(m, flow, hash) != XT_FLOW_NONE)
        return -EEXIST;
    if (m->count > m->mask + m->split)
        split_one(m);
    uint32_t *head = chain_of(m, hash);
    *e = (struct xt_flow_entry){.hash = hash, .next = is_end(*head) ? XT_FLOW_LAST : *head};
    *head = i + 1;
    m->count++;
    return 0;
}

void xt_flowmap_remove(struct xt_flowmap *m, uint32_t i)
{
    struct xt_flow_entry *e = &m->entries[i];
    if (!e->next)
        return;
    uint32_t *at = chain_of(m, e->hash);
    while (*at != i + 1)
        at = &m->entries[*at - 1].next;
    *at = e->next;
    e->next = 0;
    m->count--;
}
