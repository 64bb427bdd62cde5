/* SPDX-License-Identifier: Apache-2.0
 * bench-pktio: what the packet device costs on a veth pair between two namespaces of its own. Variants alternate; each
 * figure is the median of the rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/pktio_run.h"

#define ROUNDS 5
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const uint32_t lens[] = {64, 1514, 65535};

static const struct {
    const char *name;
    enum xt_pktio_rx_mode mode;
    unsigned spin_us;
} rx_variants[] = {{"ring", XT_RX_RING, 0},
                   {"multishot", XT_RX_MULTISHOT, 0},
                   {"ring, spins 20 us", XT_RX_RING, 20},
                   {"multishot, spins 20 us", XT_RX_MULTISHOT, 20}};
#define LATENCY_VARIANTS 2 /* the first ones: both sides are to sleep */

static const struct {
    const char *name;
    enum tx_how how;
    unsigned batch;
} tx_variants[] = {{"io_uring x1", TX_URING, 1},   {"io_uring x8", TX_URING, 8},
                   {"io_uring x64", TX_URING, 64}, {"sendmmsg x1", TX_MMSG, 1},
                   {"sendmmsg x64", TX_MMSG, 64},  {"sendmmsg x64 no qdisc", TX_MMSG_BYPASS, 64}};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The member at byte `off` of each round's run. */
static double median(const struct run *runs, size_t off)
{
    double v[ROUNDS];

    for (unsigned i = 0; i < ROUNDS; i++)
        memcpy(&v[i], (const char *)&runs[i] + off, sizeof v[i]);
    qsort(v, ROUNDS, sizeof v[0], compare);
    return v[ROUNDS / 2];
}

#define MEDIAN(runs, member) median(runs, offsetof(struct run, member))

static void bench_rx(const struct xt_netpair *np, unsigned ms)
{
    struct run runs[COUNT(rx_variants)][ROUNDS];

    printf("\nreceive, sender floods     bytes   frames/s   Gbit/s   own CPU  sender's  softirq  syscalls     lost  in "
           "ring\n"
           "                                                        ns/frame  ns/frame ns/frame  /1000 fr  /1000 fr "
           "/1000 fr\n");
    for (size_t l = 0; l < COUNT(lens); l++) {
        for (unsigned i = 0; i < ROUNDS; i++)
            for (size_t v = 0; v < COUNT(rx_variants); v++)
                run_rx(&runs[v][i], np, rx_variants[v].mode, rx_variants[v].spin_us, lens[l], ms);
        for (size_t v = 0; v < COUNT(rx_variants); v++)
            printf("  %-22s %7u %10.0f %8.2f %9.0f %9.0f %8.0f %9.1f %9.1f %8.1f\n", rx_variants[v].name, lens[l],
                   MEDIAN(runs[v], per_s), MEDIAN(runs[v], per_s) * lens[l] * 8 / 1e9, MEDIAN(runs[v], cpu),
                   MEDIAN(runs[v], peer), MEDIAN(runs[v], softirq), MEDIAN(runs[v], enters), MEDIAN(runs[v], lost),
                   MEDIAN(runs[v], ring_lost));
        fflush(stdout);
    }
}

static void bench_tx(const struct xt_netpair *np, unsigned ms)
{
    struct run runs[COUNT(tx_variants)][ROUNDS];

    printf("\nsend, nobody receives      bytes   frames/s   Gbit/s   own CPU   softirq\n"
           "                                                        ns/frame  ns/frame\n");
    for (size_t l = 0; l < COUNT(lens); l++) {
        for (unsigned i = 0; i < ROUNDS; i++)
            for (size_t v = 0; v < COUNT(tx_variants); v++)
                run_tx(&runs[v][i], np, tx_variants[v].how, tx_variants[v].batch, lens[l], ms);
        for (size_t v = 0; v < COUNT(tx_variants); v++)
            printf("  %-22s %7u %10.0f %8.2f %9.0f %9.0f\n", tx_variants[v].name, lens[l], MEDIAN(runs[v], per_s),
                   MEDIAN(runs[v], per_s) * lens[l] * 8 / 1e9, MEDIAN(runs[v], cpu), MEDIAN(runs[v], softirq));
        fflush(stdout);
    }
}

static void bench_latency(const struct xt_netpair *np, unsigned ms)
{
    struct run runs[LATENCY_VARIANTS][ROUNDS];

    printf("\nping-pong, both asleep     bytes  rounds/s   p50 us   p99 us   own CPU ns\n");
    for (unsigned i = 0; i < ROUNDS; i++)
        for (size_t v = 0; v < LATENCY_VARIANTS; v++)
            run_latency(&runs[v][i], np, rx_variants[v].mode, ms);
    for (size_t v = 0; v < LATENCY_VARIANTS; v++)
        printf("  %-22s %7u %9.0f %8.1f %8.1f %12.0f\n", rx_variants[v].name, 64, MEDIAN(runs[v], per_s),
               MEDIAN(runs[v], p50) / 1000, MEDIAN(runs[v], p99) / 1000, MEDIAN(runs[v], cpu));
}

int main(int argc, char **argv)
{
    const bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    struct xt_netpair np;
    char err[256];
    int rc;

    if (argc > 1 && !quick) {
        fprintf(stderr, "bench-pktio [--quick]\nNeeds root. Takes about 50 s; with --quick about 12 s.\n");
        return 2;
    }
    rc = xt_netpair_make(&np, 1500, err, sizeof err);
    if (rc != 0) {
        fprintf(stderr, "bench-pktio: %s\n", err);
        return 1;
    }
    bench_rx(&np, quick ? 40 : 400);
    bench_tx(&np, quick ? 20 : 200);
    bench_latency(&np, quick ? 60 : 500);
    return 0;
}
