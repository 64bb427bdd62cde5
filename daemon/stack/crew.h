/* SPDX-License-Identifier: Apache-2.0
 * The stacks of one address, one for each shard. A connection belongs to one of them for its life; what comes to another one is passed
 * on through a queue of its own for each pair, so that threads never wait for each other. Only the check and reservation of a port has
 * a lock. */
#ifndef XT_STACK_CREW_H
#define XT_STACK_CREW_H

#include <stdint.h>

#define XT_CREW_MAX 16u

struct xt_crew;

/* `n` from 1 to XT_CREW_MAX. Returns 0, -EINVAL or -ENOMEM. */
int xt_crew_new(struct xt_crew **out, uint32_t n);
/* After all its stacks are freed. NULL is allowed. */
void xt_crew_free(struct xt_crew *c);

#endif
