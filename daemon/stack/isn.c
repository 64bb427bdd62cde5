/* SPDX-License-Identifier: Apache-2.0
 * Initial sequence numbers (RFC 6528): a 4 us clock plus a keyed hash of the connection's end points. */
#include "daemon/stack/internal.h"

uint32_t xt_isn(const struct xt_stack *s, const struct xt_flow *flow)
{
    return (uint32_t)(s->now / 4) + (uint32_t)xt_siphash(&s->isn_key, flow, sizeof *flow);
}
