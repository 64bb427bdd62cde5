/* SPDX-License-Identifier: Apache-2.0
 * xt-flood: sends the frames of an attack out of one interface of a network namespace, seeded, and no more than it was told. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/flood/frames.h"

#define BATCH 64
#define NS_PER_S 1000000000ull

static const char usage[] = "xt-flood KIND --interface IF --to ADDRESS --mac MAC [OPTIONS]\n"
                            "  --port N         of the victim; without it any\n"
                            "  --from NET/LEN   forged senders (198.18.0.0/15)\n"
                            "  --peer ADDRESS   of the connections that ICMP errors and blind attacks are about\n"
                            "  --peer-port N    of the connection of a blind attack\n"
                            "  --step N         of its sweep over the sequence numbers (32768)\n"
                            "  --rate N         frames a second; without it as many as the machine makes\n"
                            "  --count N        frames in all (without end)\n"
                            "  --seconds N      how long (10)\n"
                            "  --seed N         (1)\n"
                            "Ends before that at SIGTERM. Prints what it has sent. Kinds:\n";

struct job {
    const struct flood_kind *kind;
    struct flood f;
    const char *ifname;
    uint64_t rate, count;
    double seconds;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    stop = sig;
}

static void die(const char *what, const char *arg)
{
    fprintf(stderr, "xt-flood: %s: %s\n", what, arg);
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint32_t address(const char *s)
{
    struct in_addr a;
    if (inet_pton(AF_INET, s, &a) != 1)
        die("no address", s);
    return a.s_addr;
}

static void network(struct flood *f, const char *s)
{
    char text[32];
    unsigned len = 32;
    if (sscanf(s, "%31[0-9.]/%u", text, &len) != 2 || len == 0 || len > 32)
        die("no network", s);
    f->spread = (uint32_t)(1ull << (32 - len));
    f->from = ntohl(address(text)) & ~(f->spread - 1);
}

static void mac(struct flood *f, const char *s)
{
    uint8_t *m = f->mac;
    if (sscanf(s, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
        die("no MAC address", s);
}

static void find_kind(struct job *j, const char *name)
{
    for (j->kind = flood_kinds; j->kind->name; j->kind++)
        if (name && strcmp(j->kind->name, name) == 0)
            return;
    fputs(usage, stderr);
    for (const struct flood_kind *k = flood_kinds; k->name; k++)
        fprintf(stderr, "  %-16s %s\n", k->name, k->text);
    exit(2);
}

static void parse(struct job *j, int argc, char **argv)
{
    static const struct option opts[] = {
        {"interface", 1, NULL, 'i'},
        {"to", 1, NULL, 't'},
        {"mac", 1, NULL, 'm'},
        {"port", 1, NULL, 'p'},
        {"from", 1, NULL, 'f'},
        {"peer", 1, NULL, 'P'},
        {"step", 1, NULL, 's'},
        {"peer-port", 1, NULL, 'o'},
        {"rate", 1, NULL, 'r'},
        {"count", 1, NULL, 'c'},
        {"seed", 1, NULL, 'S'},
        {"seconds", 1, NULL, 'T'},
        {0},
    };
    for (int o; (o = getopt_long(argc, argv, "", opts, NULL)) != -1;) {
        const char *arg = optarg ? optarg : "";
        uint64_t n = strtoull(arg, NULL, 10);
        switch (o) {
        case 'i':
            j->ifname = arg;
            break;
        case 't':
            j->f.to = address(arg);
            break;
        case 'm':
            mac(&j->f, arg);
            break;
        case 'p':
            j->f.port = (uint16_t)n;
            break;
        case 'f':
            network(&j->f, arg);
            break;
        case 'P':
            j->f.peer = address(arg);
            break;
        case 'o':
            j->f.peer_port = (uint16_t)n;
            break;
        case 's':
            j->f.step = (uint32_t)n;
            break;
        case 'r':
            j->rate = n;
            break;
        case 'c':
            j->count = n;
            break;
        case 'S':
            j->f.rng.s = n;
            break;
        case 'T':
            j->seconds = strtod(arg, NULL);
            break;
        default:
            find_kind(j, NULL);
        }
    }
    find_kind(j, argv[optind]);
    if (!j->ifname || !j->f.to)
        find_kind(j, NULL);
}

static int open_device(const char *ifname)
{
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(ifname)};
    const int on = 1;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (sll.sll_ifindex == 0)
        die(ifname, "no such interface");
    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&sll, sizeof sll) != 0)
        die(ifname, strerror(errno));
    return fd;
}

/* Of this process: over a veth pair it is the sender who brings the frame up to the receiver's socket. */
static double processor_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void sleep_until(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Returns how many left: the device takes no more than it can. */
static unsigned send_batch(struct job *j, int fd, unsigned n)
{
    static uint8_t frames[BATCH][FRAME_MAX];
    static struct iovec iov[BATCH];
    static struct mmsghdr msg[BATCH];
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){frames[i], j->kind->make(&j->f, frames[i])};
        msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
        j->f.n++;
    }
    int sent = sendmmsg(fd, msg, n, 0);
    if (sent < 0 && errno != ENOBUFS && errno != EAGAIN)
        die(j->ifname, strerror(errno));
    return sent > 0 ? (unsigned)sent : 0;
}

int main(int argc, char **argv)
{
    struct job j = {.seconds = 10, .count = UINT64_MAX};
    uint64_t sent = 0;
    j.f.rng.s = 1;
    j.f.step = 32768;
    memcpy(j.f.from_mac, (uint8_t[]){0x02, 0x66, 0x6c, 0x6f, 0x6f, 0x64}, 6);
    network(&j.f, "198.18.0.0/15");
    parse(&j, argc, argv);
    j.f.seq = (uint32_t)rng_u64(&j.f.rng);
    int fd = open_device(j.ifname);
    uint64_t start = now_ns(), end = start + (uint64_t)(j.seconds * (double)NS_PER_S), now = start;
    signal(SIGTERM, on_signal);
    while (!stop && now < end && j.f.n < j.count) {
        sent += send_batch(&j, fd, j.count - j.f.n < BATCH ? (unsigned)(j.count - j.f.n) : BATCH);
        if (j.rate)
            sleep_until(start + j.f.n * NS_PER_S / j.rate);
        now = now_ns();
    }
    double took = (double)(now - start) / (double)NS_PER_S;
    printf("%s: %llu frames in %.2f s, %.0f a second, %.2f us of processor time each\n", j.kind->name,
           (unsigned long long)sent, took, (double)sent / took, sent ? processor_us() / (double)sent : 0);
    close(fd);
    return 0;
}
