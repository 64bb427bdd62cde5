/* SPDX-License-Identifier: Apache-2.0
 * SYNs that come faster than they can be looked at fill the receive ring, and then what belongs to connections is dropped there as
 * well. So the kernel is told what part of them to let in, by chance and apart for addresses that are known and for others: as many
 * as make some times the rate at which strangers are answered. */
#include <arpa/inet.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"

#define TURN (XT_US_PER_S / 40)
#define LOOKS 2u /* SYNs wanted for each that may be answered: those that come a second time are among them */
#define LEAST 4u /* while too much waits, at least an overload-rate divided by this is wanted */
#define WIDER 8u /* no more than so many times what came through before: what is reckoned from few is not exact */
#define FINEST (1u << 20) /* from which it is open again in four turns */

void xt_sieve_seen(struct xt_stack *s, uint32_t addr)
{
    struct xt_overload *o = &s->overload;
    enum xt_sieve_class k = xt_sieve_class(&o->sieve, ntohl(addr));
    uint32_t pass = o->waiting ? o->before[k] : o->sieve.pass[k];
    o->seen[k]++;
    o->offered[k] += (UINT64_C(256) << 32) / (pass + UINT64_C(1));
}

static void count_anew(struct xt_overload *o)
{
    memset(o->seen, 0, sizeof o->seen);
    memset(o->offered, 0, sizeof o->offered);
}

void xt_sieve_behind(struct xt_stack *s, uint64_t now_us)
{
    struct xt_overload *o = &s->overload;
    o->behind = true;
    if (o->sieved_at || !s->ops.sieve)
        return;
    o->sieved_at = now_us;
    o->waiting = 0;
    count_anew(o);
    xt_wheel_set(&s->misc, XT_TIMER_SIEVE, now_us + TURN);
}

/* What part of a class is to be let in, from what came in `us`. */
static uint32_t part(struct xt_stack *s, unsigned k, uint64_t us)
{
    struct xt_overload *o = &s->overload;
    uint64_t rate = s->cfg.overload_rate * us / XT_US_PER_S, wanted = rate * LOOKS;
    uint64_t all = o->offered[k] / 256, next = XT_SIEVE_ALL;
    s->stats.sieved_syn += all - o->seen[k];
    if (o->behind && o->was_behind)
        wanted = XT_MIN(wanted, XT_MAX(o->seen[k] / 2, rate / LEAST));
    if (all > wanted)
        next = XT_MAX((wanted << 32) / all, FINEST);
    return s->cfg.overload_rate ? (uint32_t)XT_MIN(next, (uint64_t)o->sieve.pass[k] * WIDER) : XT_SIEVE_ALL;
}

static void learn_known(const struct xt_overload *o, uint64_t now_s, struct xt_sieve *v)
{
    memset(v->known, 0, sizeof v->known);
    for (unsigned i = 0; i < XT_KNOWN_MAX; i++)
        if (now_s < o->known[i].until_s)
            xt_sieve_learn(v, ntohl(o->known[i].addr));
}

static void change(struct xt_stack *s, const struct xt_sieve *next)
{
    struct xt_overload *o = &s->overload;
    int waiting = s->ops.sieve(s->ops.arg, next);
    if (waiting < 0)
        return;
    o->waiting = (uint32_t)waiting;
    memcpy(o->before, o->sieve.pass, sizeof o->before);
    o->sieve = *next;
}

void xt_sieve_timer(struct xt_stack *s)
{
    struct xt_overload *o = &s->overload;
    struct xt_sieve next = o->sieve;
    for (unsigned k = 0; k < XT_SIEVE_CLASSES; k++)
        next.pass[k] = part(s, k, s->now - o->sieved_at);
    learn_known(o, s->now / XT_US_PER_S, &next);
    if (!xt_sieve_open(&next) || !xt_sieve_open(&o->sieve))
        change(s, &next);
    bool open = xt_sieve_open(&o->sieve);
    count_anew(o);
    o->sieved_at = 0;
    o->was_behind = o->behind;
    o->behind = false;
    if (open && !o->was_behind)
        return;
    o->sieved_at = s->now;
    o->until = XT_MAX(o->until, s->now + XT_OVERLOAD_HOLD); /* SYNs go on being counted and limited */
    xt_wheel_set(&s->misc, XT_TIMER_SIEVE, s->now + TURN);
}
