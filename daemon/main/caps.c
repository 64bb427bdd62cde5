/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/macros.h"

/* What is to be held: of these what is held now. */
static capng_select_t choose(void)
{
    static const unsigned wanted[] = {CAP_NET_RAW, CAP_NET_ADMIN, CAP_IPC_LOCK};
    bool held[XT_ARRAY_LEN(wanted)];
    capng_get_caps_process();
    for (size_t i = 0; i < XT_ARRAY_LEN(wanted); i++)
        held[i] = capng_have_capability(CAPNG_PERMITTED, wanted[i]);
    capng_select_t set = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
    capng_clear(set);
    for (size_t i = 0; i < XT_ARRAY_LEN(wanted); i++)
        if (held[i])
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, wanted[i]);
    return set;
}

int xt_caps_reduce(void)
{
    return capng_apply(choose()) == 0 ? 0 : -EPERM;
}

int xt_caps_reduce_as(uid_t uid, gid_t gid)
{
    choose();
    errno = 0;
    if (capng_change_id((int)uid, (int)gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) == 0)
        return 0;
    return errno ? -errno : -EPERM;
}

int xt_caps_drop(void)
{
    capng_get_caps_process();
    capng_clear(CAPNG_SELECT_CAPS);
    return capng_apply(CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}
