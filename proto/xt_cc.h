/* SPDX-License-Identifier: Apache-2.0
 * The congestion controls by number and by the name that TCP_CONGESTION and the daemon's configuration use. */
#ifndef XT_CC_H
#define XT_CC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum xt_cc_id { XT_CC_CUBIC, XT_CC_RENO, XT_CC_BBR, XT_CC_MAX };

#define XT_CC_CHOICES "cubic|reno|bbr" /* in that order */

/* The name, or "?" for a number that is none of them. */
static inline const char *xt_cc_name(uint32_t id)
{
    static const char *const names[XT_CC_MAX] = {"cubic", "reno", "bbr"};
    return id < XT_CC_MAX ? names[id] : "?";
}

/* The number of a name, or -1. */
static inline int xt_cc_by_name(const char *name)
{
    for (int i = 0; i < XT_CC_MAX; i++)
        if (strcmp(name, xt_cc_name((uint32_t)i)) == 0)
            return i;
    return -1;
}

#endif
