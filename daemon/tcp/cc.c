/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/cc.h"

#include "daemon/tcp/seq.h"

static const struct xt_cc *const algorithms[] = {&xt_cc_newreno};

const struct xt_cc *xt_cc_of(const struct xt_conn *c)
{
    return algorithms[c->cc < sizeof algorithms / sizeof *algorithms ? c->cc : 0];
}

uint32_t xt_cc_initial_window(const struct xt_conn *c, const struct xt_tcp_cfg *cfg)
{
    uint32_t segs = c->cflags & XT_CF_SYN_RXT ? 1 : xt_u32_max(1, cfg->init_cwnd);
    return segs * c->mss_eff;
}
