/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/wire/ipv4.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"

/* The 16-bit word of flags and fragment offset (RFC 791 section 3.1). */
enum { FRAG_DF = 0x4000, FRAG_MF = 0x2000, FRAG_OFF = 0x1fff };

/* The checksum of a header of `len` bytes, a multiple of 4: as xt_csum(), but there is no carry to bring back for so few. */
static uint16_t header_sum(const uint8_t *p, size_t len)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t w;
        memcpy(&w, p + i, sizeof w);
        sum += w;
    }
    sum = (sum & UINT16_MAX) + (sum >> 16 & UINT16_MAX) + (sum >> 32);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    sum = (sum & UINT16_MAX) + (sum >> 16);
    return be16toh((uint16_t)~sum);
}

int xt_ipv4_parse_quoted(const uint8_t *p, size_t len, struct xt_ipv4 *ip)
{
    uint16_t frag;

    if (len < XT_IPV4_HDR_LEN || p[0] >> 4 != 4)
        return -EBADMSG;
    ip->hdr_len = (uint8_t)((p[0] & 0x0f) * 4);
    ip->total_len = xt_be16_load(p + 2);
    if (ip->hdr_len < XT_IPV4_HDR_LEN || ip->hdr_len > len || ip->total_len < ip->hdr_len)
        return -EBADMSG;
    ip->tos = p[1];
    ip->id = xt_be16_load(p + 4);
    frag = xt_be16_load(p + 6);
    ip->df = (frag & FRAG_DF) != 0;
    ip->mf = (frag & FRAG_MF) != 0;
    ip->frag_off = (uint16_t)((frag & FRAG_OFF) * 8);
    ip->ttl = p[8];
    ip->proto = p[9];
    memcpy(&ip->src, p + 12, 4);
    memcpy(&ip->dst, p + 16, 4);
    return 0;
}

int xt_ipv4_parse(const uint8_t *p, size_t len, struct xt_ipv4 *ip)
{
    int rc = xt_ipv4_parse_quoted(p, len, ip);

    if (rc < 0)
        return rc;
    /* A fragment must also end within the largest packet there can be, or reassembly would overflow. */
    if (ip->total_len > len || (uint32_t)ip->frag_off + ip->total_len > UINT16_MAX)
        return -EBADMSG;
    return header_sum(p, ip->hdr_len) == 0 ? 0 : -EILSEQ;
}

size_t xt_ipv4_emit_options(uint8_t *p, const struct xt_ipv4 *ip, size_t optlen)
{
    size_t len = XT_IPV4_HDR_LEN + optlen;
    p[0] = (uint8_t)(4 << 4 | len / 4);
    p[1] = ip->tos;
    xt_be16_store(p + 2, ip->total_len);
    xt_be16_store(p + 4, ip->id);
    xt_be16_store(p + 6, (uint16_t)((ip->df ? FRAG_DF : 0) | (ip->mf ? FRAG_MF : 0) | ip->frag_off / 8));
    p[8] = ip->ttl;
    p[9] = ip->proto;
    xt_be16_store(p + 10, 0);
    memcpy(p + 12, &ip->src, 4);
    memcpy(p + 16, &ip->dst, 4);
    xt_be16_store(p + 10, header_sum(p, len));
    return len;
}

size_t xt_ipv4_emit(uint8_t *p, const struct xt_ipv4 *ip)
{
    return xt_ipv4_emit_options(p, ip, 0);
}
