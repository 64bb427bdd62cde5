/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/pktio_run.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define MAX_LEN 65535
#define MAX_SAMPLES 100000

static const uint8_t mac_own[6] = {0x02, 0x78, 0x74, 0, 0, 1}, mac_peer[6] = {0x02, 0x78, 0x74, 0, 0, 2};

static uint8_t frame[MAX_LEN];
static struct virtio_net_hdr vnet;
static volatile uint64_t sink; /* what was read was read for something */

struct usage {
    uint64_t wall, cpu, softirq;
};

struct flood_result {
    uint64_t frames, cpu;
};

static void die(const char *what)
{
    fprintf(stderr, "bench-pktio: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t cpu_ns(void)
{
    struct rusage ru;

    getrusage(RUSAGE_THREAD, &ru);
    return (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000 +
           (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

static uint64_t softirq_ns(void)
{
    unsigned long v[7] = {0};
    FILE *f = fopen("/proc/stat", "re");
    int n =
        f == NULL ? 0 : fscanf(f, "cpu %lu %lu %lu %lu %lu %lu %lu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]);

    if (f != NULL)
        fclose(f);
    return n == 7 ? v[6] * (1000000000UL / (unsigned long)sysconf(_SC_CLK_TCK)) : 0;
}

static struct usage usage_now(void)
{
    return (struct usage){.wall = now_ns(), .cpu = cpu_ns(), .softirq = softirq_ns()};
}

static void account(struct run *r, const struct usage *from, uint64_t frames, uint64_t enters)
{
    const struct usage to = usage_now();
    const double n = frames == 0 ? 1 : (double)frames;

    r->per_s = (double)frames * 1e9 / (double)(to.wall - from->wall);
    r->cpu = (double)(to.cpu - from->cpu) / n;
    r->softirq = (double)(to.softirq - from->softirq) / n;
    r->enters = (double)enters * 1000 / n;
}

/* TCP over IPv4 to `dst`, as far as the kernel looks. */
static void make_frame(const uint8_t dst[6], const uint8_t src[6], uint32_t len)
{
    memset(frame, 0x5a, sizeof frame);
    memcpy(frame, dst, 6);
    memcpy(frame + 6, src, 6);
    frame[12] = 0x08;
    frame[13] = 0x00;
    frame[14] = 0x45;
    frame[23] = IPPROTO_TCP;
    frame[46] = 0x50;
    memset(&vnet, 0, sizeof vnet);
    if (len > 1514)
        vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                       .hdr_len = 54,
                                       .gso_size = 1460,
                                       .csum_start = 34,
                                       .csum_offset = 16};
}

static int raw_socket(const char *ifname, bool receive, bool bypass)
{
    struct sockaddr_ll sll = {.sll_family = AF_PACKET, .sll_protocol = receive ? htons(ETH_P_ALL) : 0};
    const int on = 1, size = 64 << 20;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    sll.sll_ifindex = (int)if_nametoindex(ifname);
    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0 ||
        (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0 ||
        bind(fd, (const struct sockaddr *)&sll, sizeof sll) != 0)
        die("raw socket");
    return fd;
}

/* Sends the frame by sendmmsg until `end`; returns how many were taken, and counts system calls. */
static uint64_t flood(int fd, uint32_t len, unsigned batch, uint64_t end, uint64_t *enters)
{
    struct iovec iov[2] = {{&vnet, sizeof vnet}, {frame, len}};
    struct mmsghdr m[BATCH];
    uint64_t frames = 0;

    for (unsigned i = 0; i < BATCH; i++)
        m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov, .msg_iovlen = 2}};
    while (now_ns() < end) {
        const int n = sendmmsg(fd, m, batch, MSG_DONTWAIT);

        ++*enters;
        frames += n > 0 ? (uint64_t)n : 0;
    }
    return frames;
}

/* A child in the peer's namespace; it dies with us. */
static pid_t fork_peer(const struct xt_netpair *np)
{
    const pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (xt_netpair_enter(np->peer) != 0)
            _exit(1);
    }
    return pid;
}

static pid_t start_flood(const struct xt_netpair *np, uint32_t len, unsigned ms, int result)
{
    const pid_t pid = fork_peer(np);
    struct flood_result r = {0};
    uint64_t enters = 0;

    if (pid != 0)
        return pid;
    make_frame(mac_own, mac_peer, len);
    r.frames = flood(raw_socket(XT_NETPAIR_PEER, false, false), len, 32, now_ns() + ms * 1000000ULL, &enters);
    r.cpu = cpu_ns();
    _exit(write(result, &r, sizeof r) != (ssize_t)sizeof r);
}

static void ring_init(struct io_uring *ring)
{
    const int rc = io_uring_queue_init(256, ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

    errno = -rc;
    if (rc != 0)
        die("io_uring");
}

static struct xt_pktio *device(struct io_uring *ring, enum xt_pktio_rx_mode mode, uint32_t rx_frames)
{
    struct xt_pktio_cfg cfg = {.ifname = XT_NETPAIR_OWN, .rx_mode = mode, .rx_frames = rx_frames, .fd = -1};
    struct xt_pktio *p;
    char err[256];

    memcpy(cfg.mac, mac_own, 6);
    if (xt_pktio_open(&cfg, ring, &p, err, sizeof err) != 0) {
        fprintf(stderr, "bench-pktio: %s\n", err);
        exit(1);
    }
    io_uring_submit(ring);
    return p;
}

static void reap(struct io_uring *ring, struct xt_pktio *p)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(ring, &cqe) == 0) {
        xt_pktio_cqe(p, cqe);
        io_uring_cqe_seen(ring, cqe);
    }
}

/* Sleeps until there is a frame, or for `ms`. */
static void nap(struct io_uring *ring, struct xt_pktio *p, unsigned ms)
{
    struct __kernel_timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    struct io_uring_cqe *cqe;

    io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
    reap(ring, p);
}

/* Each byte is looked at, as by a checksum. */
static uint64_t touch(const struct xt_frame *f)
{
    uint64_t sum = 0, v;

    for (uint32_t i = 0; i + 8 <= f->len; i += 64) {
        memcpy(&v, f->data + i, 8);
        sum += v;
    }
    return sum;
}

/* Looks for frames again and again for `us` before it gives up; with the ring that is reading one word of memory. */
static bool spin(struct io_uring *ring, struct xt_pktio *p, enum xt_pktio_rx_mode mode, unsigned us, uint64_t *enters)
{
    const uint64_t end = now_ns() + us * 1000ULL;

    do {
        if (mode == XT_RX_MULTISHOT) {
            ++*enters;
            io_uring_get_events(ring);
            reap(ring, p);
        }
        if (xt_pktio_rx_pending(p))
            return true;
        __builtin_ia32_pause();
    } while (now_ns() < end);
    return false;
}

void run_rx(struct run *r, const struct xt_netpair *np, enum xt_pktio_rx_mode mode, unsigned spin_us, uint32_t len,
            unsigned ms)
{
    struct xt_frame f[BATCH];
    struct flood_result sent = {0};
    struct xt_pktio_stats st;
    struct io_uring ring;
    uint64_t enters = 0, quiet = 0;
    struct xt_pktio *p;
    struct usage from;
    int result[2];
    pid_t pid;

    ring_init(&ring);
    p = device(&ring, mode, 0);
    if (pipe(result) != 0)
        die("pipe");
    pid = start_flood(np, len, ms, result[1]);
    nap(&ring, p, 1000);
    from = usage_now();
    while (quiet < 3) { /* until nothing came for 30 ms */
        const unsigned n = xt_pktio_rx(p, f, BATCH);

        for (unsigned i = 0; i < n; i++)
            sink += f[i].more && xt_pktio_fetch(p, &f[i], 0, NULL) < 0 ? 0 : touch(&f[i]);
        xt_pktio_rx_release(p);
        quiet = n > 0 ? 0 : quiet;
        if (n > 0 || (spin_us > 0 && spin(&ring, p, mode, spin_us, &enters)))
            continue;
        enters++;
        nap(&ring, p, 10);
        quiet += !xt_pktio_rx_pending(p);
    }
    xt_pktio_stats(p, &st);
    account(r, &from, st.rx_frames, enters);
    if (waitpid(pid, NULL, 0) != pid || read(result[0], &sent, sizeof sent) != (ssize_t)sizeof sent)
        die("sender");
    r->per_s = (double)st.rx_frames * 1000 / ms;
    r->peer = (double)sent.cpu / (double)(st.rx_frames + 1);
    r->ring_lost = (double)st.rx_kernel_drops * 1000 / (double)(sent.frames + 1);
    r->lost = 1000 - (double)st.rx_frames * 1000 / (double)(sent.frames + 1);
    close(result[0]);
    close(result[1]);
    xt_pktio_close(p);
    io_uring_queue_exit(&ring);
}

static uint64_t send_uring(struct xt_pktio *p, struct io_uring *ring, unsigned batch, uint32_t len, uint64_t end,
                           uint64_t *enters)
{
    const uint32_t head = 54;
    struct iovec iov = {frame + head, len - head};
    struct xt_pktio_stats st;

    while (now_ns() < end) {
        for (unsigned i = 0; i < batch; i++)
            xt_pktio_tx(p, &vnet, frame, len <= 256 ? len : head, &iov, len > 256);
        xt_pktio_flush(p);
        reap(ring, p);
        ++*enters;
    }
    xt_pktio_stats(p, &st);
    return st.tx_frames;
}

void run_tx(struct run *r, const struct xt_netpair *np, enum tx_how how, unsigned batch, uint32_t len, unsigned ms)
{
    struct xt_pktio *p = NULL;
    struct io_uring ring;
    struct usage from;
    uint64_t frames, enters = 0, end;
    int fd = -1;

    if (how == TX_URING) {
        ring_init(&ring);
        p = device(&ring, XT_RX_RING, 8);
    } else {
        fd = raw_socket(XT_NETPAIR_OWN, false, how == TX_MMSG_BYPASS);
    }
    make_frame(mac_peer, mac_own, len);
    from = usage_now();
    end = from.wall + ms * 1000000ULL;
    frames = p != NULL ? send_uring(p, &ring, batch, len, end, &enters) : flood(fd, len, batch, end, &enters);
    account(r, &from, frames, enters);
    if (p != NULL) {
        xt_pktio_close(p);
        io_uring_queue_exit(&ring);
    } else {
        close(fd);
    }
}

static pid_t start_echo(const struct xt_netpair *np)
{
    const pid_t pid = fork_peer(np);
    uint8_t buf[2048];
    int fd;

    if (pid != 0)
        return pid;
    fd = raw_socket(XT_NETPAIR_PEER, true, false);
    for (;;) {
        const ssize_t n = recv(fd, buf, sizeof buf, 0);

        if (n < (ssize_t)sizeof vnet + 14)
            continue;
        memset(buf, 0, sizeof vnet);
        memcpy(buf + sizeof vnet, mac_own, 6);
        memcpy(buf + sizeof vnet + 6, mac_peer, 6);
        if (send(fd, buf, (size_t)n, 0) < 0)
            _exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void run_latency(struct run *r, const struct xt_netpair *np, enum xt_pktio_rx_mode mode, unsigned ms)
{
    static uint32_t ns[MAX_SAMPLES];
    const pid_t pid = start_echo(np);
    struct xt_frame f[BATCH];
    struct io_uring ring;
    struct xt_pktio *p;
    struct usage from;
    uint64_t end;
    unsigned n = 0, got;

    ring_init(&ring);
    p = device(&ring, mode, 0);
    make_frame(mac_peer, mac_own, 64);
    from = usage_now();
    end = from.wall + ms * 1000000ULL;
    while (n < MAX_SAMPLES && now_ns() < end) {
        const uint64_t t = now_ns();

        xt_pktio_tx(p, &vnet, frame, 64, NULL, 0);
        nap(&ring, p, 100);
        while ((got = xt_pktio_rx(p, f, BATCH)) == 0 && now_ns() - t < 100000000)
            nap(&ring, p, 10);
        xt_pktio_rx_release(p);
        if (got > 0) /* the first goes before the echo is there */
            ns[n++] = (uint32_t)(now_ns() - t);
    }
    account(r, &from, n, n);
    qsort(ns, n, sizeof ns[0], compare);
    r->p50 = n == 0 ? 0 : ns[n / 2];
    r->p99 = n == 0 ? 0 : ns[n - 1 - n / 100];
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    xt_pktio_close(p);
    io_uring_queue_exit(&ring);
}
