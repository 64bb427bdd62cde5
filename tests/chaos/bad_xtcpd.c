/* SPDX-License-Identifier: Apache-2.0
 * Stands in for a new xtcpd that must not take over; built once for each way to fail (HOW). */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/main/keeper.h"
#include "daemon/main/standby.h"

int main(void)
{
    struct xt_handed h;
    if (strcmp(HOW, "exits") == 0)
        return 7;
    if (strcmp(HOW, "crashes") == 0)
        abort();
    if (strcmp(HOW, "hangs") == 0)
        for (;;)
            pause();
    /* It says that it can take over. */
    int feed = xt_standby_feed();
    if (xt_handed_read(&h) < 0 || xt_standby_wait(feed, &h) < 0)
        return XT_EXIT_FAILED;
    if (strcmp(HOW, "late-crashes") == 0) {
        xt_notify_forget("state"); /* counts for nothing: it never gets ready */
        abort();
    }
    return XT_EXIT_FAILED;
}
