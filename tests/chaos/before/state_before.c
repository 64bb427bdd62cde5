/* SPDX-License-Identifier: Apache-2.0
 * In the place of daemon/main/state_before.c: what there was before the release before is not read. */
#include <errno.h>

#include "daemon/main/layout.h"

struct xt_tcp_sockopt xt_sockopt_read_before(const struct xt_tcp_sockopt *o)
{
    return *o;
}

struct xt_state_places xt_state_places_before(uint32_t max_conns)
{
    struct xt_state_sizes sizes = xt_stack_sizes(max_conns);
    return xt_stack_places(&sizes);
}

int xt_state_read_before(int fd)
{
    return -EPROTO;
}
