/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/rules.h"

#include <stdlib.h>
#include <string.h>

bool xp_ports_parse(struct xp_ports *p, const char *text)
{
    for (const char *s = text; *s;) {
        char *end;
        unsigned long lo = strtoul(s, &end, 10), hi = lo;
        if (end == s)
            return false;
        if (*end == '-') {
            s = end + 1;
            hi = strtoul(s, &end, 10);
            if (end == s)
                return false;
        }
        if ((*end && *end != ',') || lo > hi || hi > UINT16_MAX)
            return false;
        for (unsigned long port = lo; port <= hi; port++)
            p->bit[port / 64] |= 1ULL << (port % 64);
        s = *end ? end + 1 : end;
    }
    return true;
}

bool xp_ports_has(const struct xp_ports *p, uint16_t port)
{
    return p->bit[port / 64] >> (port % 64) & 1;
}

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

static bool is_loopback(struct in_addr a)
{
    return ntohl(a.s_addr) >> 24 == 127;
}

bool xp_rule_bind(const struct xp_ports *kernel, const struct sockaddr_in *addr, struct in_addr own)
{
    if (xp_ports_has(kernel, ntohs(addr->sin_port)) || is_loopback(addr->sin_addr))
        return false;
    return addr->sin_addr.s_addr == INADDR_ANY || addr->sin_addr.s_addr == own.s_addr;
}

bool xp_rule_connect(const struct xp_ports *kernel, const struct sockaddr_in *addr)
{
    uint32_t host = ntohl(addr->sin_addr.s_addr);
    if (xp_ports_has(kernel, ntohs(addr->sin_port)) || is_loopback(addr->sin_addr))
        return false;
    /* 0.0.0.0 means loopback to connect(2); multicast and above are errors that the kernel words best. */
    return host != INADDR_ANY && host >> 28 < 0xe;
}
