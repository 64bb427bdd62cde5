/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/icmp.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"
#include "daemon/wire/checksum.h"

#define QUOTED_L4_LEN 8    /* bytes behind the quoted IP header that every error must carry (RFC 792) */
#define ERROR_IP_MAX 576   /* bytes of an IP packet with an error in it */
#define MULTICAST_NET 0xe0 /* first octet: 224 and up are multicast, reserved, broadcast */
#define LOOPBACK_NET 127

bool xt_icmp_is_error(uint8_t type)
{
    return type == XT_ICMP_UNREACHABLE || type == XT_ICMP_TIME_EXCEEDED || type == XT_ICMP_PARAM_PROBLEM;
}

static bool is_echo(uint8_t type)
{
    return type == XT_ICMP_ECHO || type == XT_ICMP_ECHO_REPLY;
}

static bool has_mtu(const struct xt_icmp *m)
{
    return m->type == XT_ICMP_UNREACHABLE && m->code == XT_ICMP_FRAG_NEEDED;
}

int xt_icmp_parse(const uint8_t *p, size_t len, struct xt_icmp *m)
{
    if (len < XT_ICMP_HDR_LEN)
        return -EBADMSG;
    if (xt_csum(p, len) != 0)
        return -EILSEQ;
    *m = (struct xt_icmp){.type = p[0], .code = p[1], .data = p + XT_ICMP_HDR_LEN, .data_len = len - XT_ICMP_HDR_LEN};
    if (!is_echo(m->type) && !xt_icmp_is_error(m->type))
        return -EPROTONOSUPPORT;
    if (is_echo(m->type)) {
        m->id = xt_be16_load(p + 4);
        m->seq = xt_be16_load(p + 6);
    } else if (has_mtu(m)) {
        m->mtu = xt_be16_load(p + 6);
    } else if (m->type == XT_ICMP_PARAM_PROBLEM) {
        m->pointer = p[4];
    }
    return 0;
}

int xt_icmp_quote(const struct xt_icmp *m, struct xt_icmp_quote *q)
{
    const uint8_t *l4;
    int rc;

    if (!xt_icmp_is_error(m->type))
        return -EPROTONOSUPPORT;
    rc = xt_ipv4_parse_quoted(m->data, m->data_len, &q->ip);
    if (rc < 0)
        return rc;
    if (q->ip.frag_off != 0 || (q->ip.proto != XT_IPPROTO_TCP && q->ip.proto != XT_IPPROTO_UDP))
        return -EPROTONOSUPPORT;
    if (m->data_len - q->ip.hdr_len < QUOTED_L4_LEN)
        return -EBADMSG;
    l4 = m->data + q->ip.hdr_len;
    q->sport = xt_be16_load(l4);
    q->dport = xt_be16_load(l4 + 2);
    q->seq = q->ip.proto == XT_IPPROTO_TCP ? xt_be32_load(l4 + 4) : 0;
    return 0;
}

size_t xt_icmp_emit(uint8_t *p, size_t room, const struct xt_icmp *m)
{
    if (room < XT_ICMP_HDR_LEN || room - XT_ICMP_HDR_LEN < m->data_len)
        return 0;
    memset(p, 0, XT_ICMP_HDR_LEN);
    p[0] = m->type;
    p[1] = m->code;
    if (is_echo(m->type)) {
        xt_be16_store(p + 4, m->id);
        xt_be16_store(p + 6, m->seq);
    } else if (has_mtu(m)) {
        xt_be16_store(p + 6, m->mtu);
    } else if (m->type == XT_ICMP_PARAM_PROBLEM) {
        p[4] = m->pointer;
    }
    if (m->data_len > 0)
        memcpy(p + XT_ICMP_HDR_LEN, m->data, m->data_len);
    xt_be16_store(p + 2, xt_csum(p, XT_ICMP_HDR_LEN + m->data_len));
    return XT_ICMP_HDR_LEN + m->data_len;
}

size_t xt_icmp_emit_echo_reply(uint8_t *p, size_t room, const struct xt_icmp *req)
{
    struct xt_icmp reply = *req;

    reply.type = XT_ICMP_ECHO_REPLY;
    reply.code = 0;
    return xt_icmp_emit(p, room, &reply);
}

size_t xt_icmp_emit_unreachable(uint8_t *p, size_t room, uint8_t code, const uint8_t *pkt, size_t len)
{
    struct xt_icmp m = {.type = XT_ICMP_UNREACHABLE,
                        .code = code,
                        .data = pkt,
                        .data_len = XT_MIN(len, (size_t)(ERROR_IP_MAX - XT_IPV4_HDR_LEN - XT_ICMP_HDR_LEN))};

    return xt_icmp_emit(p, room, &m);
}

bool xt_icmp_may_answer(const uint8_t *pkt, const struct xt_ipv4 *ip)
{
    uint8_t src[4], dst[4];

    memcpy(src, &ip->src, 4);
    memcpy(dst, &ip->dst, 4);
    if (ip->frag_off != 0 || src[0] == 0 || src[0] == LOOPBACK_NET || src[0] >= MULTICAST_NET ||
        dst[0] >= MULTICAST_NET)
        return false;
    return ip->proto != XT_IPPROTO_ICMP || (ip->total_len > ip->hdr_len && !xt_icmp_is_error(pkt[ip->hdr_len]));
}
