/* SPDX-License-Identifier: Apache-2.0
 * Whose a socket is. */
#ifndef XP_DECIDE_H
#define XP_DECIDE_H

#include <netinet/in.h>

#include "libclient/xtcp.h"
#include "proto/xt_rules.h"

#define XP_WHY 160 /* bytes of a reason */

/* $XTCP_RULES as it was at the first call; empty: none. */
const char *xp_own_rules(void);
/* Where a socket goes that is about to be bound (`listening`) or connected to `addr`; `why` says for what reason. */
enum xt_place xp_decide(const struct xtcp *x, bool listening, const struct sockaddr_in *addr, char *why, size_t size);

#endif
