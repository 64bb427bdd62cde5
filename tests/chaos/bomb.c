/* SPDX-License-Identifier: Apache-2.0
 * A fork bomb with bounds: processes that fork as fast as they can, each with a connection of its own and with those that it has from
 * before. When there have been so many they are killed, all at once.
 *
 *   bomb PEER PORT ALIVE TOTAL    at most ALIVE processes at a time, TOTAL in all; PEER echoes. Exits 0 when each that was through
 *                                 had its bytes back. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 100 /* seconds; nothing here measures time */

static struct {
    _Atomic unsigned alive, total, served, failed;
} * all; /* of all processes */
static struct sockaddr_in peer = {.sin_family = AF_INET};

static int dial(void)
{
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s >= 0 && connect(s, (const struct sockaddr *)&peer, sizeof peer) == 0)
        return s;
    close(s);
    return -1;
}

static bool echoes(int s)
{
    char got[64] = "", want[64];
    memset(want, 'a' + getpid() % 26, sizeof want);
    return send(s, want, sizeof want, MSG_NOSIGNAL) == sizeof want &&
           recv(s, got, sizeof got, MSG_WAITALL) == sizeof got && memcmp(got, want, sizeof got) == 0;
}

static bool may_be_born(unsigned alive, unsigned total)
{
    if (atomic_fetch_add(&all->alive, 1) < alive) {
        if (atomic_fetch_add(&all->total, 1) < total)
            return true;
        atomic_fetch_sub(&all->total, 1);
    }
    atomic_fetch_sub(&all->alive, 1);
    return false;
}

/* The first one goes on for as long as there are to be more; the others make way when there are too many. */
static void live(unsigned alive, unsigned total, bool first)
{
    int s = dial();
    atomic_fetch_add(s >= 0 && echoes(s) ? &all->served : &all->failed, 1);
    while (atomic_load(&all->total) < total) {
        if (!may_be_born(alive, total)) {
            if (!first)
                break;
            usleep(1000);
            continue;
        }
        pid_t pid = fork();
        if (pid == 0) {
            live(alive, total, false);
            atomic_fetch_sub(&all->alive, 1);
            _exit(0);
        }
        if (pid < 0)
            atomic_fetch_add(&all->failed, 1);
    }
    while (first)
        pause();
}

int main(int argc, char **argv)
{
    if (argc != 5 || inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1)
        return 2;
    peer.sin_port = htons((uint16_t)atoi(argv[2]));
    const unsigned alive = (unsigned)atoi(argv[3]), total = (unsigned)atoi(argv[4]);
    all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t group = fork();
    if (group < 0)
        return 2;
    if (group == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        live(alive, total, true);
    }
    for (unsigned ms = 0; ms < PATIENCE * 1000 && atomic_load(&all->total) < total; ms++)
        usleep(1000);
    printf("bomb: %u processes, %u through, %u failed\n", all->total, all->served, all->failed);
    kill(-group, SIGKILL);
    while (wait(NULL) > 0)
        ;
    return all->failed > 0 || all->total < total;
}
