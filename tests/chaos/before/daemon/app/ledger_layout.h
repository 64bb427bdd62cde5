/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/app/ledger_layout.h. What is rare stood in the slots, too, and no session was of
 * another one's family. */
#ifndef XT_TEST_BEFORE_LEDGER_LAYOUT_H
#define XT_TEST_BEFORE_LEDGER_LAYOUT_H

#include "daemon/base/macros.h"
#include "tests/chaos/before/names.h"

#define xt_prare xt_pslot

#define XT_LEDGER_SLOTS_OFF XT_ALIGN_UP(sizeof(struct xt_ledger), (size_t)4096)

static inline size_t xt_ledger_size(uint32_t max_slots)
{
    return XT_LEDGER_SLOTS_OFF + (size_t)max_slots * sizeof(struct xt_pslot);
}

static inline struct xt_pslot *xt_ledger_slots(struct xt_ledger *l)
{
    return (struct xt_pslot *)(void *)((uint8_t *)l + XT_LEDGER_SLOTS_OFF);
}

static inline struct xt_prare *xt_ledger_rares(struct xt_ledger *l)
{
    return xt_ledger_slots(l);
}

static inline uint32_t xt_ledger_family(const struct xt_ledger *l)
{
    return 0;
}

static inline void xt_ledger_set_family(struct xt_ledger *l, uint32_t family)
{
}

static inline bool xt_ledger_has_rare(const struct xt_pslot *p)
{
    return true;
}

static inline void xt_ledger_say_rare(struct xt_pslot *p)
{
}

#endif
