/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"
#include "daemon/wire/checksum.h"
#include "daemon/wire/icmp.h"
#include "tests/unit/wire/rng.h"

static uint8_t msg[2048];
static struct xt_icmp m;

/* Puts a TCP packet's header and `l4` bytes behind it to `p`; returns their length. */
static size_t put_packet(uint8_t *p, uint8_t proto, size_t l4)
{
    struct xt_ipv4 ip = {.total_len = 1500,
                         .ttl = 64,
                         .proto = proto,
                         .src = inet_addr("10.0.0.2"),
                         .dst = inet_addr("10.0.0.1"),
                         .df = true};
    static const uint8_t tcp[8] = {0x9c, 0x40, 0x00, 0x50, 0xde, 0xad, 0xbe, 0xef};

    xt_ipv4_emit(p, &ip);
    for (size_t i = 0; i < l4; i++)
        p[20 + i] = i < sizeof tcp ? tcp[i] : (uint8_t)i;
    return 20 + l4;
}

static size_t emit_error(uint8_t type, uint8_t code, uint16_t mtu, const uint8_t *quoted, size_t len)
{
    struct xt_icmp e = {.type = type, .code = code, .mtu = mtu, .data = quoted, .data_len = len};

    return xt_icmp_emit(msg, sizeof msg, &e);
}

Test(icmp, echo_request)
{
    static const uint8_t ping[] = {8, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b', 'c'};

    memcpy(msg, ping, sizeof ping);
    xt_be16_store(msg + 2, xt_csum(msg, sizeof ping));
    cr_assert_eq(xt_icmp_parse(msg, sizeof ping, &m), 0);
    cr_expect_eq(m.type, XT_ICMP_ECHO);
    cr_expect_eq(m.id, 0x1234);
    cr_expect_eq(m.seq, 1);
    cr_expect_eq(m.data, msg + 8);
    cr_expect_eq(m.data_len, 3);
    cr_expect_not(xt_icmp_is_error(m.type));
}

Test(icmp, every_truncation_is_refused)
{
    size_t len = emit_error(XT_ICMP_ECHO, 0, 0, (const uint8_t *)"abcdefg", 7);

    for (size_t n = 0; n < len; n++)
        cr_expect_eq(xt_icmp_parse(msg, n, &m), n < XT_ICMP_HDR_LEN ? -EBADMSG : -EILSEQ, "%zu bytes", n);
}

Test(icmp, a_wrong_checksum_is_refused)
{
    size_t len = emit_error(XT_ICMP_ECHO, 0, 0, (const uint8_t *)"abc", 3);

    msg[9] ^= 0x20;
    cr_expect_eq(xt_icmp_parse(msg, len, &m), -EILSEQ);
}

Test(icmp, other_types_are_told_apart)
{
    static const uint8_t known[] = {XT_ICMP_ECHO_REPLY, XT_ICMP_UNREACHABLE, XT_ICMP_ECHO, XT_ICMP_TIME_EXCEEDED,
                                    XT_ICMP_PARAM_PROBLEM};

    for (unsigned type = 0; type < 256; type++) {
        size_t len = emit_error((uint8_t)type, 0, 0, NULL, 0);

        cr_expect_eq(xt_icmp_parse(msg, len, &m), memchr(known, (int)type, sizeof known) ? 0 : -EPROTONOSUPPORT,
                     "type %u", type);
    }
}

Test(icmp, fragmentation_needed_tells_mtu_and_segment)
{
    uint8_t pkt[64];
    struct xt_icmp_quote q;
    size_t len = emit_error(XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 1400, pkt, put_packet(pkt, XT_IPPROTO_TCP, 8));

    cr_assert_eq(xt_icmp_parse(msg, len, &m), 0);
    cr_expect_eq(m.mtu, 1400);
    cr_assert_eq(xt_icmp_quote(&m, &q), 0);
    cr_expect_eq(q.ip.src, inet_addr("10.0.0.2"));
    cr_expect_eq(q.ip.dst, inet_addr("10.0.0.1"));
    cr_expect_eq(q.ip.total_len, 1500, "of the packet that was sent, not of what is quoted");
    cr_expect_eq(q.sport, 40000);
    cr_expect_eq(q.dport, 80);
    cr_expect_eq(q.seq, 0xdeadbeef);
}

Test(icmp, only_fragmentation_needed_has_an_mtu)
{
    size_t len = emit_error(XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED, 1400, NULL, 0);

    msg[1] = XT_ICMP_HOST_UNREACH;
    xt_be16_store(msg + 2, 0);
    xt_be16_store(msg + 2, xt_csum(msg, len));
    cr_assert_eq(xt_icmp_parse(msg, len, &m), 0);
    cr_expect_eq(m.mtu, 0);
}

Test(icmp, parameter_problem_points_at_an_octet)
{
    struct xt_icmp e = {.type = XT_ICMP_PARAM_PROBLEM, .pointer = 20};
    size_t len = xt_icmp_emit(msg, sizeof msg, &e);

    cr_assert_eq(len, XT_ICMP_HDR_LEN);
    cr_assert_eq(xt_icmp_parse(msg, len, &m), 0);
    cr_expect_eq(m.pointer, 20);
}

Test(icmp, too_little_quoted_is_refused)
{
    uint8_t pkt[64];
    struct xt_icmp_quote q;
    size_t whole = put_packet(pkt, XT_IPPROTO_TCP, 8);

    for (size_t n = 0; n < whole; n++) {
        size_t len = emit_error(XT_ICMP_TIME_EXCEEDED, 0, 0, pkt, n);

        cr_assert_eq(xt_icmp_parse(msg, len, &m), 0);
        cr_expect_eq(xt_icmp_quote(&m, &q), -EBADMSG, "%zu bytes quoted", n);
    }
}

Test(icmp, quoted_options_are_skipped)
{
    uint8_t pkt[64];
    struct xt_icmp_quote q;

    put_packet(pkt, XT_IPPROTO_TCP, 32);
    pkt[0] = 0x46;
    memmove(pkt + 24, pkt + 20, 8);
    cr_assert_eq(xt_icmp_parse(msg, emit_error(XT_ICMP_TIME_EXCEEDED, 0, 0, pkt, 32), &m), 0);
    cr_assert_eq(xt_icmp_quote(&m, &q), 0);
    cr_expect_eq(q.seq, 0xdeadbeef);
    cr_assert_eq(xt_icmp_parse(msg, emit_error(XT_ICMP_TIME_EXCEEDED, 0, 0, pkt, 31), &m), 0);
    cr_expect_eq(xt_icmp_quote(&m, &q), -EBADMSG);
}

Test(icmp, a_quoted_datagram_has_ports_only)
{
    uint8_t pkt[64];
    struct xt_icmp_quote q;

    cr_assert_eq(xt_icmp_parse(msg, emit_error(XT_ICMP_UNREACHABLE, 3, 0, pkt, put_packet(pkt, XT_IPPROTO_UDP, 8)), &m),
                 0);
    cr_assert_eq(xt_icmp_quote(&m, &q), 0);
    cr_expect_eq(q.sport, 40000);
    cr_expect_eq(q.seq, 0);
}

Test(icmp, what_quotes_no_transport_header_is_told_apart)
{
    uint8_t pkt[64];
    struct xt_icmp_quote q;
    size_t len = put_packet(pkt, XT_IPPROTO_ICMP, 8);

    cr_assert_eq(xt_icmp_parse(msg, emit_error(XT_ICMP_UNREACHABLE, 1, 0, pkt, len), &m), 0);
    cr_expect_eq(xt_icmp_quote(&m, &q), -EPROTONOSUPPORT, "ICMP");

    put_packet(pkt, XT_IPPROTO_TCP, 8);
    xt_be16_store(pkt + 6, 1);
    cr_assert_eq(xt_icmp_parse(msg, emit_error(XT_ICMP_UNREACHABLE, 1, 0, pkt, len), &m), 0);
    cr_expect_eq(xt_icmp_quote(&m, &q), -EPROTONOSUPPORT, "a later fragment");

    put_packet(pkt, XT_IPPROTO_TCP, 8);
    cr_assert_eq(xt_icmp_parse(msg, emit_error(XT_ICMP_ECHO, 0, 0, pkt, len), &m), 0);
    cr_expect_eq(xt_icmp_quote(&m, &q), -EPROTONOSUPPORT, "an echo");
}

Test(icmp, echo_reply_returns_all_that_came)
{
    struct xt_icmp req = {.type = XT_ICMP_ECHO, .id = 7, .seq = 9, .data = (const uint8_t *)"odd", .data_len = 3};
    size_t len = xt_icmp_emit_echo_reply(msg, sizeof msg, &req);

    cr_assert_eq(len, 11);
    cr_assert_eq(xt_icmp_parse(msg, len, &m), 0);
    cr_expect_eq(m.type, XT_ICMP_ECHO_REPLY);
    cr_expect_eq(m.code, 0);
    cr_expect_eq(m.id, 7);
    cr_expect_eq(m.seq, 9);
    cr_assert_eq(m.data_len, 3);
    cr_expect_arr_eq(m.data, "odd", 3);
}

Test(icmp, nothing_is_written_without_room)
{
    struct xt_icmp req = {.type = XT_ICMP_ECHO, .data = (const uint8_t *)"odd", .data_len = 3};

    for (size_t room = 0; room < 11; room++)
        cr_expect_eq(xt_icmp_emit_echo_reply(msg, room, &req), 0, "room for %zu", room);
    cr_expect_eq(msg[0] | msg[3] | msg[8], 0);
    cr_expect_eq(xt_icmp_emit_echo_reply(msg, 11, &req), 11);
}

Test(icmp, unreachable_quotes_what_fits_576_bytes)
{
    uint8_t pkt[1500];
    struct xt_icmp_quote q;
    size_t len = put_packet(pkt, XT_IPPROTO_UDP, 1480);

    cr_expect_eq(xt_icmp_emit_unreachable(msg, sizeof msg, XT_ICMP_PORT_UNREACH, pkt, len), 576 - 20);
    cr_assert_eq(xt_icmp_parse(msg, 576 - 20, &m), 0);
    cr_expect_eq(m.type, XT_ICMP_UNREACHABLE);
    cr_expect_eq(m.code, XT_ICMP_PORT_UNREACH);
    cr_expect_arr_eq(m.data, pkt, m.data_len);
    cr_expect_eq(xt_icmp_quote(&m, &q), 0);

    cr_expect_eq(xt_icmp_emit_unreachable(msg, sizeof msg, XT_ICMP_PROTO_UNREACH, pkt, 30), 8 + 30);
    cr_assert_eq(xt_icmp_parse(msg, 38, &m), 0);
    cr_expect_eq(m.code, XT_ICMP_PROTO_UNREACH);
}

static bool may_answer(const char *src, const char *dst, uint8_t proto, uint8_t first_octet, uint16_t frag_off)
{
    uint8_t pkt[28] = {[20] = first_octet};
    struct xt_ipv4 ip = {.hdr_len = 20,
                         .total_len = sizeof pkt,
                         .proto = proto,
                         .frag_off = frag_off,
                         .src = inet_addr(src),
                         .dst = inet_addr(dst)};

    return xt_icmp_may_answer(pkt, &ip);
}

Test(icmp, errors_answer_what_rfc_1122_allows)
{
    cr_expect(may_answer("10.0.0.1", "10.0.0.2", XT_IPPROTO_UDP, 3, 0));
    cr_expect(may_answer("10.0.0.1", "10.0.0.2", XT_IPPROTO_ICMP, XT_ICMP_ECHO, 0));
    cr_expect_not(may_answer("10.0.0.1", "10.0.0.2", XT_IPPROTO_ICMP, XT_ICMP_UNREACHABLE, 0), "an error");
    cr_expect_not(may_answer("10.0.0.1", "10.0.0.2", XT_IPPROTO_ICMP, XT_ICMP_TIME_EXCEEDED, 0), "an error");
    cr_expect_not(may_answer("10.0.0.1", "10.0.0.2", XT_IPPROTO_ICMP, XT_ICMP_PARAM_PROBLEM, 0), "an error");
    cr_expect_not(may_answer("10.0.0.1", "10.0.0.2", XT_IPPROTO_UDP, 0, 8), "a later fragment");
    cr_expect_not(may_answer("0.0.0.0", "10.0.0.2", XT_IPPROTO_UDP, 0, 0), "from nobody");
    cr_expect_not(may_answer("127.0.0.1", "10.0.0.2", XT_IPPROTO_UDP, 0, 0), "from loopback");
    cr_expect_not(may_answer("224.0.0.1", "10.0.0.2", XT_IPPROTO_UDP, 0, 0), "from a group");
    cr_expect_not(may_answer("255.255.255.255", "10.0.0.2", XT_IPPROTO_UDP, 0, 0), "from broadcast");
    cr_expect_not(may_answer("10.0.0.1", "224.0.0.251", XT_IPPROTO_UDP, 0, 0), "to a group");
    cr_expect_not(may_answer("10.0.0.1", "255.255.255.255", XT_IPPROTO_UDP, 0, 0), "to broadcast");
}

Test(icmp, an_empty_icmp_packet_is_not_answered)
{
    uint8_t pkt[20] = {0};
    struct xt_ipv4 ip = {.hdr_len = 20,
                         .total_len = 20,
                         .proto = XT_IPPROTO_ICMP,
                         .src = inet_addr("10.0.0.1"),
                         .dst = inet_addr("10.0.0.2")};

    cr_expect_not(xt_icmp_may_answer(pkt, &ip));
}

static struct xt_icmp random_message(uint64_t *rng, uint8_t *data, size_t room)
{
    static const uint8_t types[] = {XT_ICMP_ECHO_REPLY, XT_ICMP_UNREACHABLE, XT_ICMP_ECHO, XT_ICMP_TIME_EXCEEDED,
                                    XT_ICMP_PARAM_PROBLEM};
    struct xt_icmp r = {.type = types[rng_below(rng, XT_ARRAY_LEN(types))],
                        .code = (uint8_t)rng_below(rng, 6),
                        .data = data,
                        .data_len = rng_below(rng, (uint32_t)room + 1)};

    rng_fill(rng, data, r.data_len);
    if (r.type == XT_ICMP_ECHO || r.type == XT_ICMP_ECHO_REPLY) {
        r.id = (uint16_t)rng_next(rng);
        r.seq = (uint16_t)rng_next(rng);
    } else if (r.type == XT_ICMP_PARAM_PROBLEM) {
        r.pointer = (uint8_t)rng_next(rng);
    } else if (r.type == XT_ICMP_UNREACHABLE && r.code == XT_ICMP_FRAG_NEEDED) {
        r.mtu = (uint16_t)rng_next(rng);
    }
    return r;
}

Test(icmp, parse_is_the_inverse_of_emit)
{
    uint64_t rng = rng_seed("icmp");
    uint8_t data[100];

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct xt_icmp r = random_message(&rng, data, sizeof data);
        size_t len = xt_icmp_emit(msg, sizeof msg, &r);

        cr_assert_eq(len, XT_ICMP_HDR_LEN + r.data_len);
        cr_assert_eq(xt_icmp_parse(msg, len, &m), 0);
        cr_assert_eq(m.type, r.type);
        cr_assert_eq(m.code, r.code);
        cr_assert_eq(m.id, r.id);
        cr_assert_eq(m.seq, r.seq);
        cr_assert_eq(m.mtu, r.mtu);
        cr_assert_eq(m.pointer, r.pointer);
        cr_assert_eq(m.data_len, r.data_len);
        cr_assert_eq(memcmp(m.data, r.data, r.data_len), 0);
    }
}
