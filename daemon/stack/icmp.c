/* SPDX-License-Identifier: Apache-2.0
 * ICMP (RFC 792, RFC 1122 section 3.2.2): echo is answered, errors are handed to the connection they are about, and errors
 * are sent, at a bounded rate. */
#include "daemon/wire/icmp.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"

#define BURST 50                             /* errors at once */
#define REFILL (XT_US_PER_S / (uint64_t)100) /* then one in this time */
#define BUILD_MAX 65536u

/* Next lower plateau of common MTUs, for routers that do not tell theirs (RFC 1191 section 7.1). */
static uint32_t plateau_below(uint32_t len)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};
    for (unsigned i = 0; i < XT_ARRAY_LEN(plateaus); i++)
        if (plateaus[i] < len)
            return plateaus[i];
    return 68;
}

/* The errno of a destination unreachable, as Linux maps codes. */
static int errno_of(const struct xt_icmp *m)
{
    static const int by_code[] = {
        [0] = ENETUNREACH,   [1] = EHOSTUNREACH, [2] = ENOPROTOOPT,   [3] = ECONNREFUSED, [4] = EMSGSIZE,
        [5] = EOPNOTSUPP,    [6] = ENETUNREACH,  [7] = EHOSTDOWN,     [8] = ENONET,       [9] = ENETUNREACH,
        [10] = EHOSTUNREACH, [11] = ENETUNREACH, [12] = EHOSTUNREACH, [13] = EHOSTUNREACH};
    if (m->type == XT_ICMP_PARAM_PROBLEM)
        return EPROTO;
    if (m->type == XT_ICMP_UNREACHABLE && m->code < XT_ARRAY_LEN(by_code))
        return by_code[m->code];
    return EHOSTUNREACH;
}

/* An error about a connection that this stack does not have: another one may. */
static void pass_error(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *pkt, const struct xt_flow *flow,
                       const struct xt_rx *rx)
{
    struct xt_visit v = rx->visit;
    uint32_t to = s->ops.crew ? xt_crew_whose_error(s, flow, &v) : s->ops.shard;
    if (to == s->ops.shard)
        s->stats.drop_icmp_stray++;
    else
        xt_crew_pass(s, to, &v, pkt, ip->total_len, rx);
}

static void error_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *pkt, const struct xt_icmp *m,
                        const struct xt_rx *rx)
{
    struct xt_icmp_quote q;
    if (xt_icmp_quote(m, &q) != 0 || q.ip.proto != XT_IPPROTO_TCP || q.ip.src != s->cfg.addr) {
        s->stats.drop_icmp_stray++;
        return;
    }
    uint32_t dst = xt_ipopt_final_dst(m->data, q.ip.hdr_len);
    struct xt_flow flow = {
        .local = xt_addr_v4(q.ip.src), .remote = xt_addr_v4(dst), .lport = q.sport, .rport = q.dport};
    uint32_t i = xt_flowmap_find(&s->flows, &flow), mtu = m->mtu;
    if (i == XT_FLOW_NONE) {
        pass_error(s, ip, pkt, &flow, rx);
        return;
    }
    if (xt_demux_too_far(s, &s->conns[i], ip->ttl))
        return;
    int err = errno_of(m);
    if (err == EMSGSIZE && mtu == 0)
        mtu = plateau_below(q.ip.total_len);
    if (err == EMSGSIZE && mtu >= q.ip.total_len) {
        s->stats.drop_icmp_mtu++; /* what it quotes would have fitted */
        return;
    }
    struct xt_conn *c = &s->conns[i];
    struct xt_tcp_ctx ctx = xt_conn_begin(s, c);
    uint16_t mss = c->mss_path;
    s->stats.icmp_errors_in++;
    uint32_t ev = xt_tcp_icmp(c, &ctx, q.seq, err, mtu);
    if (c->mss_path < mss)
        xt_pmtu_learn(s, c, mtu);
    xt_conn_after(s, c, ev);
}

void xt_icmp_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, size_t len, const struct xt_rx *rx)
{
    struct xt_icmp m;
    int r = xt_icmp_parse(p, len, &m);
    s->stats.icmp_in++;
    if (r == -EILSEQ) {
        s->stats.drop_checksum_icmp++;
    } else if (r == -EBADMSG) {
        s->stats.drop_short++;
    } else if (r == 0 && m.type == XT_ICMP_ECHO) {
        size_t n = xt_icmp_emit_echo_reply(s->build, BUILD_MAX, &m);
        s->stats.icmp_echo_replies++;
        xt_out_ip(s, rx->mac, ip->src, XT_IPPROTO_ICMP, s->build, n);
    } else if (r == 0 && xt_icmp_is_error(m.type)) {
        error_input(s, ip, p - ip->hdr_len, &m, rx);
    } else {
        s->stats.drop_icmp_type++;
    }
}

/* A bucket of BURST tokens. */
static bool admit(struct xt_stack *s)
{
    uint64_t n = (s->now - s->icmp_filled) / REFILL;
    if (n) {
        s->icmp_tokens = (uint32_t)XT_MIN((uint64_t)BURST, s->icmp_tokens + XT_MIN(n, (uint64_t)BURST));
        s->icmp_filled += n * REFILL;
    }
    if (s->icmp_tokens == 0) {
        s->stats.icmp_limited++;
        return false;
    }
    s->icmp_tokens--;
    return true;
}

void xt_icmp_error(struct xt_stack *s, uint8_t type, uint8_t code, const uint8_t *pkt, size_t len,
                   const struct xt_rx *rx)
{
    struct xt_ipv4 ip;
    if (rx->group || !rx->mac || xt_ipv4_parse(pkt, len, &ip) != 0 || !xt_icmp_may_answer(pkt, &ip) || !admit(s))
        return;
    size_t n = xt_icmp_emit_unreachable(s->build, BUILD_MAX, code, pkt, ip.total_len);
    if (type != XT_ICMP_UNREACHABLE && n) {
        struct xt_icmp m = {.type = type, .code = code};
        uint8_t quote[576];
        m.data_len = XT_MIN(n - XT_ICMP_HDR_LEN, sizeof quote);
        m.data = memcpy(quote, s->build + XT_ICMP_HDR_LEN, m.data_len);
        n = xt_icmp_emit(s->build, BUILD_MAX, &m);
    }
    s->stats.icmp_errors_out++;
    xt_out_ip(s, rx->mac, ip.src, XT_IPPROTO_ICMP, s->build, n);
}
