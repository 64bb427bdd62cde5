/* SPDX-License-Identifier: Apache-2.0
 * Addresses as text. */
#include <arpa/inet.h>
#include <stdio.h>

#include "daemon/ctl/internal.h"

void xt_text_endpoint(const struct xt_endpoint *e, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "*", port[8] = "*";
    uint32_t v4 = xt_addr_to_v4(&e->addr);
    bool is_v4 = xt_addr_is_v4(&e->addr), any = xt_addr_is_any(&e->addr);
    if (!any)
        inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? (const void *)&v4 : e->addr.b, host, sizeof host);
    if (e->port)
        snprintf(port, sizeof port, "%u", e->port);
    snprintf(out, size, is_v4 || any ? "%s:%s" : "[%s]:%s", host, port);
}

void xt_text_mac(const uint8_t mac[6], char *out, size_t size)
{
    snprintf(out, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}
