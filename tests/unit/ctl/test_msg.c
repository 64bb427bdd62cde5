/* SPDX-License-Identifier: Apache-2.0
 * Control messages: what is written is read back; what is malformed is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/xt_msg.h"

Test(msg, flat_round_trip)
{
    uint8_t buf[512];
    struct xt_msg_out o;
    struct xt_msg_in in;
    uint64_t u;
    bool b;
    char s[16];
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_str(&o, "op", "attach");
    xt_msg_uint(&o, "abi", 1);
    xt_msg_uint(&o, "big", UINT64_MAX);
    xt_msg_int(&o, "low", INT64_MIN);
    xt_msg_int(&o, "small", -3);
    xt_msg_bool(&o, "yes", true);
    xt_msg_str(&o, "none", NULL);
    ssize_t n = xt_msg_end(&o);
    cr_assert_gt(n, 0);
    cr_assert_eq(xt_msg_parse(&in, buf, (size_t)n), 0);
    cr_expect_eq(in.n, 7);
    cr_expect(xt_msg_is(&in, "op", "attach"));
    cr_expect_not(xt_msg_is(&in, "op", "attac"));
    cr_expect(xt_msg_get_uint(&in, "abi", &u) == 0 && u == 1);
    cr_expect(xt_msg_get_uint(&in, "big", &u) == 0 && u == UINT64_MAX);
    cr_expect_eq(xt_msg_get_uint(&in, "low", &u), -EBADMSG);
    cr_expect_eq(xt_msg_find(&in, "low")->i, INT64_MIN);
    cr_expect_eq(xt_msg_find(&in, "small")->i, -3);
    cr_expect(xt_msg_get_bool(&in, "yes", &b) == 0 && b);
    cr_expect_eq(xt_msg_find(&in, "none")->type, XT_VAL_NIL);
    cr_expect_eq(xt_msg_get_uint(&in, "absent", &u), -ENOENT);
    cr_expect_eq(xt_msg_get_str(&in, "op", s, 7), 0);
    cr_expect_str_eq(s, "attach");
    cr_expect_eq(xt_msg_get_str(&in, "op", s, 6), -EBADMSG);
}

/* Every width of integer and string that the format has, written by msgpack-c and read by us. */
Test(msg, all_encodings)
{
    static const int64_t numbers[] = {0,  127, 128, 255,  256,  65535,  65536,     UINT32_MAX,     1LL << 32,
                                      -1, -32, -33, -128, -129, -32769, INT32_MIN, INT32_MIN - 1LL};
    static char text[70000];
    static const size_t lengths[] = {0, 31, 32, 255, 256, 65535, 65536};
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] + sizeof lengths / sizeof lengths[0]; i++) {
        msgpack_sbuffer sb;
        msgpack_packer pk;
        struct xt_msg_in in;
        size_t nn = sizeof numbers / sizeof numbers[0];
        msgpack_sbuffer_init(&sb);
        msgpack_packer_init(&pk, &sb, msgpack_sbuffer_write);
        msgpack_pack_map(&pk, 1);
        msgpack_pack_str_with_body(&pk, "k", 1);
        if (i < nn)
            msgpack_pack_int64(&pk, numbers[i]);
        else
            msgpack_pack_str_with_body(&pk, text, lengths[i - nn]);
        cr_assert_eq(xt_msg_parse(&in, sb.data, sb.size), 0, "case %zu", i);
        const struct xt_val *v = xt_msg_find(&in, "k");
        if (i < nn)
            cr_expect_eq(v->i, numbers[i]);
        else
            cr_expect(v->type == XT_VAL_STR && v->len == lengths[i - nn]);
        for (size_t cut = 0; cut < sb.size; cut += cut < 64 ? 1 : 1000)
            cr_expect_eq(xt_msg_parse(&in, sb.data, cut), -EBADMSG, "case %zu cut at %zu", i, cut);
        msgpack_sbuffer_destroy(&sb);
    }
}

Test(msg, malformed)
{
    static const struct {
        const char *what;
        size_t len;
        const char *bytes;
    } cases[] = {
        {"empty", 0, ""},
        {"not a map", 1, "\x01"},
        {"array", 1, "\x90"},
        {"key is no string", 3, "\x81\x01\x02"},
        {"nested map", 4, "\x81\xa1k\x80"},
        {"nested array", 4, "\x81\xa1k\x90"},
        {"extension", 6, "\x81\xa1k\xd4\x01\x00"},
        {"reserved tag", 4, "\x81\xa1k\xc1"},
        {"trailing byte", 2, "\x80\x00"},
        {"four thousand million pairs", 5, "\xdf\xff\xff\xff\xff"},
        {"string longer than the message", 8, "\x81\xa1k\xdb\xff\xff\xff\xff"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct xt_msg_in in;
        cr_expect_eq(xt_msg_parse(&in, cases[i].bytes, cases[i].len), -EBADMSG, "%s", cases[i].what);
        cr_expect_eq(in.n, 0);
    }
}

Test(msg, string_with_nul_is_no_c_string)
{
    struct xt_msg_in in;
    char s[8];
    cr_assert_eq(xt_msg_parse(&in,
                              "\x81\xa1k\xa3"
                              "a\0b",
                              7),
                 0);
    cr_expect_eq(xt_msg_get_str(&in, "k", s, sizeof s), -EBADMSG);
}

/* Random bytes from an exact allocation: whatever the parser says, a sanitizer sees it stay inside. */
Test(msg, random_bytes_stay_inside)
{
    uint32_t seed = 1, accepted = 0;
    cr_log_info("seed %u", seed);
    srandom(seed);
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)random() % 40 + 1;
        uint8_t *m = malloc(len);
        struct xt_msg_in in;
        for (size_t i = 0; i < len; i++)
            m[i] = (uint8_t)random();
        m[0] = 0x80 | (m[0] & 3);
        accepted += xt_msg_parse(&in, m, len) == 0;
        for (unsigned i = 0; i < in.n; i++)
            cr_assert(in.pair[i].key.s >= (char *)m && in.pair[i].key.s + in.pair[i].key.len <= (char *)m + len,
                      "seed %u", seed);
        free(m);
    }
    cr_expect_lt(accepted, 20000u);
}

Test(msg, nested_is_counted)
{
    char buf[256];
    struct xt_msg_out o;
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_array(&o, "list");
    for (unsigned i = 0; i < 3; i++) {
        xt_msg_map(&o, NULL);
        xt_msg_uint(&o, "id", i);
        xt_msg_close(&o);
    }
    xt_msg_close(&o);
    xt_msg_bool(&o, "more", false);
    ssize_t n = xt_msg_end(&o);
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    cr_assert_eq(msgpack_unpack_next(&u, buf, (size_t)n, NULL), MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(u.data.via.map.size, 2);
    cr_expect_eq(u.data.via.map.ptr[0].val.via.array.size, 3);
    cr_expect_eq(u.data.via.map.ptr[0].val.via.array.ptr[2].via.map.ptr[0].val.via.u64, 2);
    msgpack_unpacked_destroy(&u);
}

Test(msg, full_buffer_is_told)
{
    for (size_t size = 0; size < 20; size++) {
        char buf[20];
        struct xt_msg_out o;
        xt_msg_begin(&o, buf, size);
        xt_msg_array(&o, "a");
        xt_msg_str(&o, NULL, "0123456789");
        xt_msg_close(&o);
        ssize_t n = xt_msg_end(&o); /* 3 + 2 + 3 + 11 bytes */
        cr_expect_eq(n, size < 19 ? -EMSGSIZE : 19, "size %zu gives %zd", size, n);
    }
}

Test(msg, too_deep_is_told)
{
    char buf[256];
    struct xt_msg_out o;
    xt_msg_begin(&o, buf, sizeof buf);
    for (int i = 0; i < XT_MSG_DEPTH; i++)
        xt_msg_map(&o, "m");
    cr_expect_eq(xt_msg_end(&o), -EMSGSIZE);
}

static unsigned open_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

Test(msg, descriptors_travel_and_surplus_is_closed)
{
    int sv[2], on = 1, fds[XT_MSG_FDS_MAX + 4];
    struct xt_msg_anc anc;
    char buf[64];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++)
        fds[i] = 0;
    cr_assert_eq(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    unsigned before = open_fds();
    cr_assert_eq(xt_msg_send(sv[0], "hi", 2, fds, 3, 0), 0);
    cr_expect_eq(xt_msg_recv(sv[1], buf, sizeof buf, &anc, 0), 2);
    cr_expect_eq(anc.nfds, 3);
    cr_expect(anc.has_cred && anc.pid == getpid() && anc.uid == geteuid());
    cr_expect_eq(fcntl(anc.fd[0], F_GETFD), FD_CLOEXEC);
    xt_msg_anc_close(&anc);
    cr_expect_eq(open_fds(), before);
    cr_expect_eq(xt_msg_send(sv[0], "hi", 2, fds, XT_MSG_FDS_MAX + 1, 0), -EINVAL);
    cr_expect_eq(xt_msg_recv(sv[1], buf, sizeof buf, &anc, MSG_DONTWAIT), -EAGAIN);
}

/* A sender that does not use our function may send more descriptors than we take, also without credentials in between. */
Test(msg, too_many_descriptors_leak_none)
{
    int sv[2];
    struct xt_msg_anc anc;
    char buf[64];
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE((XT_MSG_FDS_MAX + 4) * sizeof(int))];
    } control = {0};
    struct iovec iov = {"hi", 2};
    struct msghdr mh = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf};
    struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
    cm->cmsg_level = SOL_SOCKET;
    cm->cmsg_type = SCM_RIGHTS;
    cm->cmsg_len = CMSG_LEN((XT_MSG_FDS_MAX + 4) * sizeof(int)); /* all zero: standard input */
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    unsigned before = open_fds();
    cr_assert_eq(sendmsg(sv[0], &mh, 0), 2);
    cr_expect_eq(xt_msg_recv(sv[1], buf, sizeof buf, &anc, 0), -EMSGSIZE);
    cr_expect_eq(open_fds(), before);
}

/* The message comes, without any of its descriptors. */
Test(msg, too_few_descriptors_are_told)
{
    int sv[2], fds[3] = {0, 0, 0};
    struct xt_msg_anc anc;
    char buf[64];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    cr_assert_eq(xt_msg_send(sv[0], "hi", 2, fds, 3, 0), 0);
    unsigned before = open_fds();
    struct rlimit was, one_more;
    getrlimit(RLIMIT_NOFILE, &was);
    one_more = was;
    one_more.rlim_cur = (rlim_t)dup(0) + 1;
    close((int)one_more.rlim_cur - 1);
    setrlimit(RLIMIT_NOFILE, &one_more);
    cr_expect_eq(xt_msg_recv(sv[1], buf, sizeof buf, &anc, 0), 2);
    setrlimit(RLIMIT_NOFILE, &was);
    cr_expect(anc.cut);
    cr_expect_eq(anc.nfds, 0);
    cr_expect_eq(open_fds(), before);
}

Test(msg, long_datagram_is_told)
{
    int sv[2];
    struct xt_msg_anc anc;
    char buf[4];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
    cr_assert_eq(xt_msg_send(sv[0], "12345", 5, NULL, 0, 0), 0);
    cr_expect_eq(xt_msg_recv(sv[1], buf, sizeof buf, &anc, 0), -EMSGSIZE);
    close(sv[0]);
    cr_expect_eq(xt_msg_recv(sv[1], buf, sizeof buf, &anc, 0), 0);
}
