/* SPDX-License-Identifier: Apache-2.0
 * From a connection's two end points to its index: a hash table chained through arrays by index. Keyed (SipHash), so that
 * the network cannot choose collisions. It grows by one chain for each entry more than it has chains (linear hashing): no
 * entry waits for a table to be made anew, and memory is touched only as entries come, up to what the greatest index needs.
 * Not thread-safe. */
#ifndef XT_BASE_FLOWMAP_H
#define XT_BASE_FLOWMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/siphash.h"
#include "proto/xt_addr.h"

#define XT_FLOW_NONE UINT32_MAX

/* No padding: it is hashed and compared as bytes. */
struct xt_flow {
    struct xt_addr local, remote;
    uint16_t lport, rport; /* host byte order */
};
_Static_assert(sizeof(struct xt_flow) == 36, "xt_flow");

/* Where the caller keeps the flows that are in the map: in records of his, by index. The map has no copy of them: whoever is found is
 * looked at next, and each is there as long as it is in the map. */
struct xt_flow_keys {
    const void *records;
    uint32_t size;                        /* of a record */
    uint32_t local, remote, lport, rport; /* where in it */
};

struct xt_flow_entry {
    uint32_t hash; /* low half of the key's hash */
    uint32_t next; /* next index of the chain plus 1; XT_FLOW_LAST; 0: not in the map */
};
_Static_assert(sizeof(struct xt_flow_entry) == 8, "xt_flow_entry: it is part of what an idle connection costs");

#define XT_FLOW_LAST UINT32_MAX

#define XT_FLOW_RECENT 256 /* a power of two */

struct xt_flowmap {
    uint32_t *recent; /* indices found last, where a hash without a key puts them: guesses, which are checked */
    uint32_t *heads;  /* index plus 1 of a chain's first entry; 0 or XT_FLOW_LAST: empty */
    struct xt_flow_entry *entries;
    uint32_t mask, split; /* chains below `split` are split in two, by one bit more of the hash than the mask has */
    uint32_t max, count;
    struct xt_key key;
    struct xt_flow_keys keys;
};

/* Makes a map for indices 0 to max - 1. Returns 0 or -ENOMEM. */
int xt_flowmap_init(struct xt_flowmap *m, uint32_t max, const struct xt_key *key, const struct xt_flow_keys *keys);
void xt_flowmap_fini(struct xt_flowmap *m);

/* The index of `flow`, or XT_FLOW_NONE. Most often it was found not long ago: then no keyed hash is computed. */
uint32_t xt_flowmap_find(const struct xt_flowmap *m, const struct xt_flow *flow);

/* Enters `flow` as index `i`, whose record has it before anything is looked for. Returns 0, or -EEXIST when the flow or the index is in the map already. */
int xt_flowmap_add(struct xt_flowmap *m, const struct xt_flow *flow, uint32_t i);

/* Takes index `i` out; nothing happens when it is not in. */
void xt_flowmap_remove(struct xt_flowmap *m, uint32_t i);

#endif
