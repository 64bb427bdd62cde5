/* SPDX-License-Identifier: Apache-2.0
 * SO_TIMESTAMP: when bytes arrived. Linux has the time of the frame; here it is that of the pass of the loop which took the frame. */
#include <time.h>

#include "daemon/app/internal.h"

void xt_app_stamp(struct xt_stamp *stamp, uint64_t upto)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    atomic_store(&stamp->upto, 0);
    atomic_store(&stamp->ns, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
    atomic_store(&stamp->upto, upto);
}
