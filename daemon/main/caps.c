/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>

int xt_caps_reduce(void)
{
    static const unsigned wanted[] = {CAP_NET_RAW, CAP_NET_ADMIN, CAP_IPC_LOCK};
    capng_get_caps_process();
    bool held[3];
    for (unsigned i = 0; i < 3; i++)
        held[i] = capng_have_capability(CAPNG_PERMITTED, wanted[i]);
    bool bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
    capng_clear(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
    for (unsigned i = 0; i < 3; i++)
        if (held[i])
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, wanted[i]);
    return capng_apply(bounding ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) == 0 ? 0 : -EPERM;
}
