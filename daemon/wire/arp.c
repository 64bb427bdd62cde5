/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/arp.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/wire/eth.h"

enum { HW_ETHERNET = 1 };

/* Hardware type, protocol type, and the lengths of their addresses: the same in every packet that we take. */
static void put_preamble(uint8_t p[6])
{
    xt_be16_store(p, HW_ETHERNET);
    xt_be16_store(p + 2, XT_ETH_TYPE_IPV4);
    p[4] = 6;
    p[5] = 4;
}

int xt_arp_parse(const uint8_t *p, size_t len, struct xt_arp *arp)
{
    uint8_t want[6];

    if (len < XT_ARP_LEN)
        return -EBADMSG;
    put_preamble(want);
    if (memcmp(p, want, sizeof want) != 0)
        return -EPROTONOSUPPORT;
    arp->op = xt_be16_load(p + 6);
    memcpy(arp->sha, p + 8, 6);
    memcpy(&arp->spa, p + 14, 4);
    memcpy(arp->tha, p + 18, 6);
    memcpy(&arp->tpa, p + 24, 4);
    return 0;
}

size_t xt_arp_emit(uint8_t *p, const struct xt_arp *arp)
{
    put_preamble(p);
    xt_be16_store(p + 6, arp->op);
    memcpy(p + 8, arp->sha, 6);
    memcpy(p + 14, &arp->spa, 4);
    memcpy(p + 18, arp->tha, 6);
    memcpy(p + 24, &arp->tpa, 4);
    return XT_ARP_LEN;
}
