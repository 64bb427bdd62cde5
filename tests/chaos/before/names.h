/* SPDX-License-Identifier: Apache-2.0
 * For xtcpd-before, which has the layouts of the release before: the frozen structs by the names that today's have. */
#ifndef XT_TEST_BEFORE_NAMES_H
#define XT_TEST_BEFORE_NAMES_H

#define xt_tcp_sockopt_before xt_tcp_sockopt
#define xt_conn_before xt_conn
#define xt_board_before xt_board
#define xt_extent_before xt_extent
#define xt_tune_before xt_tune
#define xt_pwaiter_before xt_pwaiter
#define xt_ledger_before xt_ledger
#define xt_pslot_before xt_pslot

#include "tests/chaos/before/daemon/app/ring_parts.h"

/* Today's are not used. */
#define xt_tally xt_tally_today
#define xt_rate xt_rate_today
#include "daemon/tcp/cc_state.h"
#include "daemon/tcp/parts.h"
#undef xt_tally
#undef xt_rate
#define xt_tally_before xt_tally
#define xt_rate_before xt_rate

#include "daemon/main/layout_before.h"

#define segs_once delivered /* of xt_tally */

#define XT_STATE_VERSION XT_STATE_BEFORE
#define XT_LEDGER_VERSION XT_LEDGER_BEFORE

#endif
