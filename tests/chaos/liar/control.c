/* SPDX-License-Identifier: Apache-2.0
 * Lies on the control socket. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libclient/xtcp.h"
#include "proto/xt_ctl.h"
#include "proto/xt_msg.h"
#include "proto/xt_shm.h"
#include "tests/chaos/liar/liar.h"

#define MOST_FDS 253 /* that the kernel carries in one message */

static int dial(const struct liar_cfg *c)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strncpy(un.sun_path, c->path, sizeof un.sun_path - 1);
    if (connect(fd, (struct sockaddr *)&un, sizeof un) < 0)
        _exit(0);
    return fd;
}

/* More descriptors than xt_msg_send() would send. Waits for room no longer than for nothing. */
static void post(int fd, const void *buf, size_t len, const int *fds, unsigned nfds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(MOST_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)buf, len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (nfds) {
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
    }
    (void)!sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void post_with_some(uint64_t *rng, int fd, const void *buf, size_t len)
{
    static const unsigned counts[] = {0, 0, 0, 1, 1, 2, 8, 9, MOST_FDS};
    int fds[MOST_FDS];
    unsigned n = counts[liar_below(rng, sizeof counts / sizeof counts[0])], made = 0;
    while (made < n && made < 12 && (fds[made] = liar_descriptor(rng, fd)) >= 0)
        made++;
    for (unsigned i = made; i < n; i++) /* the same ones again */
        fds[i] = made ? fds[i % made] : 0;
    post(fd, buf, len, fds, made ? n : 0);
    while (made--)
        close(fds[made]);
}

static void drain(int fd)
{
    uint8_t buf[XT_CTL_MAX];
    struct xt_msg_anc anc;
    while (xt_msg_recv(fd, buf, sizeof buf, &anc, MSG_DONTWAIT) > 0)
        xt_msg_anc_close(&anc);
}

/* ---- what is sent ---- */

static size_t noise(uint64_t *rng, uint8_t *buf, size_t size)
{
    size_t len = liar_below(rng, 4) ? liar_below(rng, 64) : liar_below(rng, (uint32_t)size);
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)liar_random(rng);
    return len;
}

/* Containers in containers, or one that promises more than comes. */
static size_t deep(uint64_t *rng, uint8_t *buf, size_t size)
{
    static const uint8_t kinds[] = {0x81, 0x91, 0x9f, 0x8f, 0xdd, 0xdf, 0xdb, 0xc6, 0xc9, 0xde};
    size_t len = 1 + liar_below(rng, (uint32_t)size);
    memset(buf, kinds[liar_below(rng, sizeof kinds)], len);
    if (liar_below(rng, 2))
        memset(buf + 1, 0xff, len < 5 ? len - 1 : 4);
    return len;
}

static const char *const ops[] = {"attach",     "waiter", "fork", "hello",  "settle",          "export",  "claim",
                                  "join",       "rules",  "list", "show",   "close",           "stats",   "config",
                                  "config-set", "status", "",     "ATTACH", "flush-time-wait", "upgrade", "capture"};
static const char *const keys[] = {"op",  "abi",  "comm",  "slot", "now",   "n",  "id",
                                   "key", "name", "value", "path", "local", "all"};

static void put_any(uint64_t *rng, struct xt_msg_out *o, const char *key)
{
    static char text[2000];
    switch (liar_below(rng, 8)) {
    case 0:
        xt_msg_bool(o, key, liar_below(rng, 2));
        break;
    case 1:
        xt_msg_int(o, key, -(int64_t)(liar_random(rng) >> 1));
        break;
    case 2:
        memset(text, 'A' + (int)liar_below(rng, 26), sizeof text - 1);
        text[liar_below(rng, sizeof text)] = 0;
        xt_msg_str(o, key, text);
        break;
    case 3:
        xt_msg_str(o, key, NULL);
        break;
    case 4:
        xt_msg_array(o, key);
        xt_msg_close(o);
        break;
    default:
        xt_msg_uint(o, key, liar_value(rng, liar_below(rng, 16)));
    }
}

/* A request that begins as a true one does. */
static size_t request(uint64_t *rng, uint8_t *buf, size_t size)
{
    struct xt_msg_out o;
    xt_msg_begin(&o, buf, size);
    xt_msg_str(&o, "op", ops[liar_below(rng, sizeof ops / sizeof ops[0])]);
    if (liar_below(rng, 4)) {
        xt_msg_uint(&o, "abi", XT_ABI_VERSION);
        xt_msg_str(&o, "comm", "liar");
    }
    if (liar_below(rng, 2))
        xt_msg_uint(&o, "slot", liar_below(rng, 10));
    for (uint32_t n = liar_below(rng, 4) ? liar_below(rng, 4) : liar_below(rng, 40); n; n--)
        put_any(rng, &o, keys[liar_below(rng, sizeof keys / sizeof keys[0])]);
    ssize_t len = xt_msg_end(&o);
    if (len > 0 && liar_below(rng, 6) == 0)
        buf[liar_below(rng, (uint32_t)len)] ^= (uint8_t)(1u << liar_below(rng, 8));
    if (len > 1 && liar_below(rng, 10) == 0)
        len = 1 + liar_below(rng, (uint32_t)len - 1);
    return len > 0 ? (size_t)len : 0;
}

static void say(uint64_t *rng, int fd)
{
    static uint8_t buf[XT_CTL_MAX + 100];
    size_t len;
    switch (liar_below(rng, 8)) {
    case 0:
        len = noise(rng, buf, sizeof buf);
        break;
    case 1:
        len = deep(rng, buf, sizeof buf);
        break;
    default:
        len = request(rng, buf, XT_CTL_MAX);
    }
    post_with_some(rng, fd, buf, len);
}

/* ---- episodes ---- */

static void attach(int fd)
{
    uint8_t buf[256];
    struct xt_msg_out o;
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_str(&o, "op", "attach");
    xt_msg_uint(&o, "abi", XT_ABI_VERSION);
    xt_msg_str(&o, "comm", "liar");
    post(fd, buf, (size_t)xt_msg_end(&o), NULL, 0);
}

void liar_messages(const struct liar_cfg *c, uint64_t seed)
{
    uint64_t rng = seed;
    for (;;) {
        int fd = dial(c);
        if (liar_below(&rng, 2))
            attach(fd);
        for (uint32_t n = 1 + liar_below(&rng, 12); n; n--) {
            say(&rng, fd);
            drain(fd);
        }
        close(fd);
    }
}

void liar_flood(const struct liar_cfg *c, uint64_t seed)
{
    static const char *const asked[] = {"rules", "settle", "status", "waiter"};
    uint64_t rng = seed;
    uint8_t buf[64];
    struct xt_msg_out o;
    int fd[8];
    for (unsigned i = 0; i < 8; i++) {
        fd[i] = dial(c);
        attach(fd[i]);
    }
    xt_msg_begin(&o, buf, sizeof buf);
    xt_msg_str(&o, "op", asked[liar_below(&rng, 4)]);
    for (size_t len = (size_t)xt_msg_end(&o);;)
        post(fd[liar_below(&rng, 8)], buf, len, NULL, 0);
}

static void leave_something(const struct liar_cfg *c, uint64_t *rng)
{
    struct xtcp *x;
    struct xtcp_waiter *w;
    if (xtcp_attach(&x, c->path) < 0)
        return;
    int s = xtcp_socket(x);
    switch (liar_below(rng, 6)) {
    case 0:
        xtcp_fork_prepare(x);
        break;
    case 1:
        xtcp_set_nonblock(x, s, true);
        xtcp_connect(x, s, (const struct sockaddr *)&c->peer, sizeof c->peer);
        break;
    case 2:
        xtcp_listen(x, s, 5);
        break;
    case 3:
        xtcp_waiter_new(x, &w);
        break;
    case 4:
        xtcp_export(x, s, true, -1);
        break;
    default:
        xtcp_connect(x, s, (const struct sockaddr *)&c->peer, sizeof c->peer);
        xtcp_send(x, s, x, 4096, MSG_DONTWAIT);
    }
    if (liar_below(rng, 2))
        xtcp_detach(x);
}

void liar_abandon(const struct liar_cfg *c, uint64_t seed)
{
    uint64_t rng = seed;
    for (unsigned n = 0; n < 200; n++)
        leave_something(c, &rng);
}

void liar_silent(const struct liar_cfg *c, uint64_t seed)
{
    for (unsigned n = 0; n < 500; n++)
        dial(c);
    for (;;)
        pause();
}
