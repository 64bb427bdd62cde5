/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tcp/tcp.h"
#include "proto/xt_cc.h"

#define SECOND 1000000ull

void xt_tcp_cfg_default(struct xt_tcp_cfg *cfg)
{
    *cfg = (struct xt_tcp_cfg){
        .msl = 30 * SECOND,
        .rto_initial = 1 * SECOND,
        .rto_min = SECOND / 5,
        .rto_max = 120 * SECOND,
        .delack = SECOND / 25,
        .finwait2 = 60 * SECOND,
        .keep_idle = 7200 * SECOND,
        .keep_intvl = 75 * SECOND,
        .keep_cnt = 9,
        .syn_retries = 7, /* 247 s: at least 3 minutes (MUST-23) */
        .synack_retries = 5,
        .retries = 15,
        .orphan_retries = 8,
        .mss = 1460,
        .quickack = 16,
        .init_cwnd = 10,
        .timestamps = 1,
        .sack = 1,
        .wscale = 1,
        .recovery = XT_RECOVERY_RACK,
        .tlp_min = 45 * SECOND / 1000,
        .cc = XT_CC_CUBIC,
        .syn_cookies = XT_COOKIES_AUTO,
        .ecn = XT_ECN_PASSIVE,
        .fast_open = XT_FO_CLIENT | XT_FO_SERVER,
        .fo_blackhole = 3600 * SECOND,
        .gso_max = 65160,
    };
}
