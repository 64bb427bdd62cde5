/* SPDX-License-Identifier: Apache-2.0
 * xt-relay: joins two Ethernet interfaces of one network namespace and treats the frames between them as a bad line
 * would. Turn offloads off at the far ends: else it sees, and loses, super-frames. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/relay/impair.h"

#define BATCH 64
#define MAX_FRAME (1 << 17)

static const char usage[] =
    "xt-relay [OPTIONS] IF_A IF_B\n"
    "Passes frames between two interfaces, both ways, as a bad line would, until it gets SIGINT or SIGTERM.\n"
    "Prints 'ready' when it works and statistics at the end.\n"
    "  --loss N      of 1000 frames so many are lost, or 1.5% (likewise the next three)\n"
    "  --reorder N   ... are overtaken by one to four later ones\n"
    "  --dup N       ... come twice\n"
    "  --corrupt N   ... have one bit wrong\n"
    "  --delay T     each frame is late by T: 5ms, 200us\n"
    "  --jitter T    and by up to T more, without reordering\n"
    "  --rate R      bits for each second: 100M, 1G\n"
    "  --queue N     bytes that wait for the rate before frames are dropped (1048576)\n"
    "  --seed N      decides which frames (1)\n"
    "  --all         not only IPv4 frames suffer, but ARP and all others as well\n";

struct side {
    const char *ifname;
    int fd;
    struct impair im; /* frames that came in here and leave at the other side */
    uint64_t errors;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what, const char *arg)
{
    fprintf(stderr, "xt-relay: %s: %s\n", what, arg);
    exit(2);
}

/* A number with one of the units `names`, each with its factor. The empty name is the plain number. */
static uint64_t number(const char *opt, const char *s, const char *const *names, const uint64_t *factors)
{
    char *end;
    const double v = strtod(s, &end);

    if (end != s && v >= 0)
        for (int i = 0; names[i] != NULL; i++)
            if (strcmp(end, names[i]) == 0)
                return (uint64_t)(v * (double)factors[i]);
    die(opt, "not a number with a unit it knows");
    return 0;
}

static uint64_t time_arg(const char *opt, const char *s)
{
    static const char *const names[] = {"us", "ms", "s", NULL};
    static const uint64_t factors[] = {1, 1000, 1000000};

    return number(opt, s, names, factors);
}

static uint64_t count_arg(const char *opt, const char *s)
{
    static const char *const names[] = {"", "k", "M", "G", NULL};
    static const uint64_t factors[] = {1, 1000, 1000000, 1000000000};

    return number(opt, s, names, factors);
}

static uint32_t permille_arg(const char *opt, const char *s)
{
    static const char *const names[] = {"", "%", NULL};
    static const uint64_t factors[] = {1, 10};
    const uint64_t v = number(opt, s, names, factors);

    if (v > 1000)
        die(opt, "more than 1000 of 1000");
    return (uint32_t)v;
}

static void parse(int argc, char **argv, struct impair_cfg *c)
{
    static const struct option opts[] = {
        {"loss", 1, NULL, 'l'},  {"reorder", 1, NULL, 'o'}, {"dup", 1, NULL, 'u'},  {"corrupt", 1, NULL, 'c'},
        {"delay", 1, NULL, 'd'}, {"jitter", 1, NULL, 'j'},  {"rate", 1, NULL, 'r'}, {"queue", 1, NULL, 'q'},
        {"seed", 1, NULL, 's'},  {"all", 0, NULL, 'a'},     {"help", 0, NULL, 'h'}, {0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "h", opts, NULL)) != -1) {
        switch (o) {
        case 'l':
            c->loss = permille_arg("--loss", optarg);
            break;
        case 'o':
            c->reorder = permille_arg("--reorder", optarg);
            break;
        case 'u':
            c->dup = permille_arg("--dup", optarg);
            break;
        case 'c':
            c->corrupt = permille_arg("--corrupt", optarg);
            break;
        case 'd':
            c->delay_us = time_arg("--delay", optarg);
            break;
        case 'j':
            c->jitter_us = time_arg("--jitter", optarg);
            break;
        case 'r':
            c->rate = count_arg("--rate", optarg);
            break;
        case 'q':
            c->queue = (uint32_t)count_arg("--queue", optarg);
            break;
        case 's':
            c->seed = count_arg("--seed", optarg);
            break;
        case 'a':
            c->all = true;
            break;
        default:
            fputs(usage, o == 'h' ? stdout : stderr);
            exit(o == 'h' ? 0 : 2);
        }
    }
}

static void side_open(struct side *s)
{
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct packet_mreq mr = {.mr_type = PACKET_MR_PROMISC};
    const int on = 1, size = 64 << 20;

    mr.mr_ifindex = sll.sll_ifindex = (int)if_nametoindex(s->ifname);
    if (sll.sll_ifindex == 0)
        die(s->ifname, "no such interface");
    s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0 || setsockopt(s->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        setsockopt(s->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 ||
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0 ||
        setsockopt(s->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0 ||
        setsockopt(s->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr) != 0 ||
        bind(s->fd, (const struct sockaddr *)&sll, sizeof sll) != 0)
        die(s->ifname, strerror(errno));
}

/* At most BATCH, so that the other side gets its turn. */
static void take(struct side *s)
{
    static uint8_t buf[MAX_FRAME];
    struct virtio_net_hdr vnet;

    for (unsigned i = 0; i < BATCH; i++) {
        const ssize_t n = recv(s->fd, buf, sizeof buf, 0);

        if (n < (ssize_t)sizeof vnet)
            break;
        memcpy(&vnet, buf, sizeof vnet);
        vnet.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the only one that means something to a sender */
        impair_in(&s->im, &vnet, buf + sizeof vnet, (size_t)n - sizeof vnet, now_us());
    }
}

static void give(struct side *from, struct side *to)
{
    struct impair_frame *f;

    while ((f = impair_out(&from->im, now_us())) != NULL) {
        struct iovec iov[2] = {{&f->vnet, sizeof f->vnet}, {f->data, f->len}};
        const struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

        if (sendmsg(to->fd, &m, MSG_DONTWAIT) < 0)
            from->errors++;
        free(f);
    }
}

static void nap(struct side s[2], const sigset_t *mask)
{
    struct pollfd p[2] = {{.fd = s[0].fd, .events = POLLIN}, {.fd = s[1].fd, .events = POLLIN}};
    const uint64_t d0 = impair_deadline(&s[0].im), d1 = impair_deadline(&s[1].im), d = d0 < d1 ? d0 : d1;
    const uint64_t now = now_us(), wait = d > now ? d - now : 0;
    const struct timespec ts = {.tv_sec = (time_t)(wait / 1000000), .tv_nsec = (long)(wait % 1000000) * 1000};

    ppoll(p, 2, d == UINT64_MAX ? NULL : &ts, mask);
}

static void report(struct side *s, const struct side *to)
{
    const struct impair_stats *st = &s->im.stats;
    struct tpacket_stats k = {0};
    socklen_t len = sizeof k;

    getsockopt(s->fd, SOL_PACKET, PACKET_STATISTICS, &k, &len);
    printf("%s>%s in=%lu out=%lu lost=%lu reordered=%lu duplicated=%lu corrupted=%lu overflow=%lu errors=%lu "
           "unread=%u longest=%lu\n",
           s->ifname, to->ifname, (unsigned long)st->in, (unsigned long)st->out, (unsigned long)st->lost,
           (unsigned long)st->reordered, (unsigned long)st->duplicated, (unsigned long)st->corrupted,
           (unsigned long)st->overflow, (unsigned long)s->errors, k.tp_drops, (unsigned long)st->longest);
}

int main(int argc, char **argv)
{
    struct impair_cfg cfg = {.queue = 1 << 20, .seed = 1};
    struct sigaction sa = {.sa_handler = on_signal};
    struct side s[2] = {0};
    sigset_t block, old;

    parse(argc, argv, &cfg);
    if (argc - optind != 2) {
        fputs(usage, stderr);
        return 2;
    }
    /* Signals come only while it sleeps, so none is missed. */
    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_BLOCK, &block, &old);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigdelset(&old, SIGINT); /* a shell's background job ignores it */
    sigdelset(&old, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (unsigned i = 0; i < 2; i++) {
        s[i].ifname = argv[optind + (int)i];
        side_open(&s[i]);
        impair_init(&s[i].im, &cfg, i);
    }
    printf("ready: %s <-> %s seed=%lu\n", s[0].ifname, s[1].ifname, (unsigned long)cfg.seed);
    fflush(stdout);
    while (stop == 0) {
        take(&s[0]);
        take(&s[1]);
        give(&s[0], &s[1]);
        give(&s[1], &s[0]);
        nap(s, &old);
    }
    for (unsigned i = 0; i < 2; i++) {
        report(&s[i], &s[1 - i]);
        impair_free(&s[i].im);
    }
    return 0;
}
