/* SPDX-License-Identifier: Apache-2.0
 * A socket as a kernel descriptor. */
#include "libclient/internal.h"
#include "proto/xt_msg.h"

XTCP_API int xtcp_export(struct xtcp *x, int s, bool now, int beside)
{
    uint8_t buf[64];
    struct xt_msg_out out;
    int fd = -1;
    struct xt_slot *sl = xtcp_slot(x, s);
    if (!sl)
        return -EBADF;
    xtcp_settle_connect(x, s, sl);
    xt_msg_begin(&out, buf, sizeof buf);
    xt_msg_str(&out, "op", "export");
    xt_msg_uint(&out, "slot", (uint32_t)s);
    xt_msg_bool(&out, "now", now);
    int rc = xtcp_request_msg(x, &out, "slot", beside, &fd);
    return rc < 0 ? rc : fd < 0 ? -EPROTO : fd;
}
