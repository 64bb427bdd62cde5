/* SPDX-License-Identifier: Apache-2.0
 * Hostile clients against a running xtcpd, with an honest one beside them.
 *
 *   liar echo PORT                          the peer of all: an echo server, for ever
 *   liar honest SOCKET PEER PORT            moves bytes on two connections until SIGTERM, compares them all, says how many
 *   liar lie SOCKET PEER PORT SEED SECONDS  one hostile episode after the other, each in a process of its own
 *   liar once SOCKET PEER PORT SEED KIND    that episode again, in this process */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libclient/xtcp.h"
#include "tests/chaos/liar/liar.h"

#define PATIENCE 60 /* seconds; nothing here measures time */
#define CHUNK 65536

static const struct {
    const char *name;
    void (*run)(const struct liar_cfg *c, uint64_t seed);
    unsigned weight;
    bool to_the_end; /* must end by itself, with 0; others are cut off anywhere */
} episodes[] = {
    {"scribble", liar_scribble, 12, false}, {"caught", liar_caught, 3, true}, {"commands", liar_commands, 4, false},
    {"messages", liar_messages, 8, false},  {"flood", liar_flood, 1, false},  {"abandon", liar_abandon, 3, false},
    {"silent", liar_silent, 1, false},
};
#define NEPISODES (sizeof episodes / sizeof episodes[0])

uint64_t liar_value(uint64_t *rng, uint64_t old)
{
    static const uint64_t edges[] = {0,          1,          2,           63,         64,         1023,       1024,
                                     4095,       4096,       65535,       65536,      INT32_MAX,  UINT32_MAX, INT64_MAX,
                                     UINT64_MAX, 0x7ffffffe, 0x80000000u, 1ULL << 32, 1ULL << 47, 1ULL << 63};
    switch (liar_below(rng, 6)) {
    case 0:
        return edges[liar_below(rng, sizeof edges / sizeof edges[0])];
    case 1:
        return old + liar_below(rng, 5) - 2;
    case 2:
        return old ^ 1ULL << liar_below(rng, 64);
    case 3:
        return old + edges[liar_below(rng, sizeof edges / sizeof edges[0])];
    case 4:
        return (uint64_t)0 - old;
    default:
        return liar_random(rng);
    }
}

static void die(const char *what, int err)
{
    fprintf(stderr, "%s: %s\n", what, strerror(err));
    exit(1);
}

/* ---- the peer ---- */

static void echo(int fd)
{
    static char buf[CHUNK];
    ssize_t n;
    while (alarm(PATIENCE), (n = read(fd, buf, sizeof buf)) > 0) /* a liar's connection may just stop */
        for (ssize_t at = 0, k; at < n; at += k)
            if ((k = send(fd, buf + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0)
                return;
}

static int serve(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l, (struct sockaddr *)&a, sizeof a) < 0 || listen(l, 128) < 0)
        die("echo", errno);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(l, NULL, NULL);
        pid_t pid = fd >= 0 ? fork() : -1;
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            echo(fd);
            _exit(0);
        }
        close(fd);
    }
}

/* ---- the honest one ---- */

static volatile sig_atomic_t enough;

static void on_term(int sig)
{
    enough = 1;
}

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 2654435761u >> 11 ^ i >> 23);
}

/* Sends `n` bytes from stream offset `at` on and takes them back. */
static void there_and_back(struct xtcp *x, int s, uint64_t at, uint32_t n)
{
    static uint8_t out[CHUNK], in[CHUNK];
    uint32_t got = 0;
    for (uint32_t i = 0; i < n; i++)
        out[i] = byte_at(at + i);
    ssize_t rc = xtcp_send(x, s, out, n, 0);
    if (rc != (ssize_t)n)
        die("honest: send", rc < 0 ? (int)-rc : EMSGSIZE);
    while (got < n) {
        rc = xtcp_recv(x, s, in + got, n - got, 0);
        if (rc == -EINTR)
            continue;
        if (rc <= 0)
            die("honest: recv", rc < 0 ? (int)-rc : ENODATA);
        got += (uint32_t)rc;
    }
    if (memcmp(in, out, n) != 0)
        die("honest: other bytes", EBADMSG);
}

static int dial(struct xtcp *x, const struct liar_cfg *c)
{
    int s = xtcp_socket(x);
    int rc = s < 0 ? s : xtcp_connect(x, s, (const struct sockaddr *)&c->peer, sizeof c->peer);
    if (rc < 0)
        die("honest: connect", -rc);
    return s;
}

static int honest(const struct liar_cfg *c)
{
    struct sigaction sa = {.sa_handler = on_term, .sa_flags = SA_RESTART};
    struct xtcp *x;
    uint64_t at = 0, rounds = 0, rng = 1;
    int rc = xtcp_attach(&x, c->path);
    if (rc < 0)
        die("honest: attach", -rc);
    sigaction(SIGTERM, &sa, NULL);
    int s = dial(x, c);
    while (!enough) {
        alarm(PATIENCE); /* one that hangs fails */
        uint32_t n = 1 + liar_below(&rng, CHUNK);
        there_and_back(x, s, at, n);
        at += n;
        if (rounds++ % 16 == 0) { /* and a short one */
            int t = dial(x, c);
            there_and_back(x, t, at, 1000);
            xtcp_close(x, t);
        }
        if (rounds == 1)
            printf("begun\n"), fflush(stdout);
    }
    xtcp_detach(x);
    printf("honest: %" PRIu64 " bytes in %" PRIu64 " rounds, all right\n", at, rounds);
    return 0;
}

/* ---- the liars ---- */

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static unsigned choose(uint64_t seed)
{
    uint64_t rng = seed;
    unsigned total = 0, i = 0;
    for (unsigned k = 0; k < NEPISODES; k++)
        total += episodes[k].weight;
    for (uint32_t at = liar_below(&rng, total); at >= episodes[i].weight; i++)
        at -= episodes[i].weight;
    return i;
}

/* The library reads what was scribbled, too: the process may end by any signal, that is its own affair. */
static void run_episode(const struct liar_cfg *c, uint64_t seed, unsigned kind)
{
    uint64_t rng = ~seed;
    long us = 10000 + liar_below(&rng, 250000);
    struct itimerval cut = {.it_value = {.tv_usec = us}};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (episodes[kind].to_the_end)
        alarm(PATIENCE);
    else
        setitimer(ITIMER_REAL, &cut, NULL);
    episodes[kind].run(c, seed);
    _exit(0);
}

static bool went_wrong(int status, unsigned kind)
{
    return episodes[kind].to_the_end && status != 0;
}

static int lie(const struct liar_cfg *c, uint64_t seed, unsigned seconds)
{
    uint64_t end = now_ms() + seconds * 1000u, n[NEPISODES] = {0};
    int status;
    for (uint64_t i = 0; now_ms() < end || i < NEPISODES; i++) {
        unsigned kind = i < NEPISODES ? (unsigned)i : choose(seed + i); /* each at least once */
        pid_t pid = fork();
        if (pid == 0)
            run_episode(c, seed + i, kind);
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
            die("fork", errno);
        n[kind]++;
        if (went_wrong(status, kind)) {
            fprintf(stderr, "episode %s of seed %" PRIu64 " ended with status %#x\n", episodes[kind].name, seed + i,
                    status);
            return 1;
        }
    }
    for (unsigned k = 0; k < NEPISODES; k++)
        printf("%s%s %" PRIu64, k ? ", " : "episodes: ", episodes[k].name, n[k]);
    printf("\n");
    return 0;
}

static int once(const struct liar_cfg *c, uint64_t seed, const char *name)
{
    for (unsigned k = 0; k < NEPISODES; k++)
        if (strcmp(episodes[k].name, name) == 0)
            run_episode(c, seed, k);
    return 2;
}

int main(int argc, char **argv)
{
    struct liar_cfg c = {.peer.sin_family = AF_INET};
    struct rlimit none = {0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "echo") == 0)
        return serve(atoi(argv[2]));
    if (argc < 5 || inet_pton(AF_INET, argv[3], &c.peer.sin_addr) != 1)
        return 2;
    c.path = argv[2];
    c.peer.sin_port = htons((uint16_t)atoi(argv[4]));
    if (strcmp(argv[1], "honest") == 0)
        return honest(&c);
    if (argc == 7 && strcmp(argv[1], "lie") == 0)
        return lie(&c, strtoull(argv[5], NULL, 10), (unsigned)atoi(argv[6]));
    if (argc == 7 && strcmp(argv[1], "once") == 0)
        return once(&c, strtoull(argv[5], NULL, 10), argv[6]);
    return 2;
}
