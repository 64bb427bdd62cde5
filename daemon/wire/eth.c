/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/eth.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"

int xt_eth_parse(const uint8_t *p, size_t len, struct xt_eth *eth)
{
    if (len < XT_ETH_HDR_LEN)
        return -EBADMSG;
    memcpy(eth->dst, p, 6);
    memcpy(eth->src, p + 6, 6);
    eth->type = xt_be16_load(p + 12);
    return 0;
}

size_t xt_eth_emit(uint8_t *p, const struct xt_eth *eth)
{
    memcpy(p, eth->dst, 6);
    memcpy(p + 6, eth->src, 6);
    xt_be16_store(p + 12, eth->type);
    return XT_ETH_HDR_LEN;
}
