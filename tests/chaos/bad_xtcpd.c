/* SPDX-License-Identifier: Apache-2.0
 * Stands in for a new xtcpd that must not take over; built once for each way to fail (HOW). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/main/keeper.h"
#include "daemon/main/layout.h"
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
    int feed = xt_standby_feed();
    if (xt_handed_read(&h) < 0)
        return XT_EXIT_FAILED;
    if (strcmp(HOW, "refuses") == 0) {
        char err[256] = "", text[320];
        xt_standby_check(&h, 12345, 1, err, sizeof err);
        snprintf(text, sizeof text, XT_SAY_REFUSED "%s", err);
        xt_notify(text);
        return XT_EXIT_FAILED;
    }
    /* It says that it can take over. */
    if (xt_standby_wait(feed, &h) < 0)
        return XT_EXIT_FAILED;
    if (strcmp(HOW, "late-crashes") == 0) {
        if (xt_layout_renew(&h) < 0)
            return XT_EXIT_FAILED;
        xt_notify_forget("state"); /* counts for nothing, nor does what it has made new: it never gets ready */
        abort();
    }
    return XT_EXIT_FAILED;
}
