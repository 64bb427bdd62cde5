/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/addr.h"

#include <string.h>

bool xp_addr_v4(const struct sockaddr *sa, socklen_t len, bool any6, struct sockaddr_in *out)
{
    const struct sockaddr_in6 *in6 = (const void *)sa;
    if (!sa || len < sizeof *out)
        return false;
    if (sa->sa_family == AF_INET) {
        memcpy(out, sa, sizeof *out);
        return true;
    }
    if (sa->sa_family != AF_INET6 || len < sizeof *in6)
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = in6->sin6_port};
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        memcpy(&out->sin_addr, in6->sin6_addr.s6_addr + 12, 4);
        return true;
    }
    return any6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

void xp_addr_out(const struct sockaddr_in *in, bool inet6, struct sockaddr *sa, socklen_t *alen)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = in->sin_port};
    const void *src = in;
    socklen_t len = sizeof *in;
    if (!sa || !alen)
        return;
    if (inet6) {
        /* An unbound socket's name is "::" on Linux, not the mapped zero address. */
        if (in->sin_addr.s_addr != 0) {
            in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
            memcpy(in6.sin6_addr.s6_addr + 12, &in->sin_addr, 4);
        }
        src = &in6;
        len = sizeof in6;
    }
    memcpy(sa, src, *alen < len ? *alen : len);
    *alen = len;
}
