/* SPDX-License-Identifier: Apache-2.0
 * Kept numbers under ThreadSanitizer: threads that open and close, others that use numbers which are closed. No number may be
 * given to two at a time, and in the end none is lost. The kernel's calls are made past the sanitizer, as the library makes them. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "libclient/preload/preload.h"

#define OWNERS 3
#define TURNS 30000
#define TOP 128

static _Atomic int holders[TOP];
static _Atomic bool stop;

void xp_claim(int fd)
{
    xp_kept_close(fd);
}

static int open_one(unsigned turn)
{
    int fd = xp_kept_take(turn & 1);
    if (fd < 0)
        fd = (int)xp_rawcall(SYS_dup, STDOUT_FILENO, 0, 0, 0, 0, 0);
    if (fd < 0 || fd >= TOP || atomic_fetch_add(&holders[fd], 1) != 0) {
        fprintf(stderr, "%d is somebody's already\n", fd);
        _exit(1);
    }
    xp_put(fd, xp_word(XP_XTCP, 0, XP_F_PLAIN | (turn & 1 ? XP_F_CLOEXEC : 0), 0));
    return fd;
}

static void close_one(int fd)
{
    atomic_fetch_sub(&holders[fd], 1);
    if (!xp_keep(fd, xp_take(fd)))
        xp_rawcall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void *come_and_go(void *arg)
{
    for (unsigned i = 0; i < TURNS; i++) {
        int a = open_one(i), b = open_one(i / 2);
        close_one(a);
        if (i % 64 == 0)
            xp_kept_make_room(3);
        if (i % 1024 == 0)
            xp_kept_drop();
        close_one(b);
    }
    return arg;
}

static void *use_closed(void *arg)
{
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        xp_look((int)(3 + i % 16));
        if (i % 64 == 0)
            sched_yield();
    }
    return arg;
}

int main(void)
{
    pthread_t t[OWNERS + 1];
    for (int i = 0; i <= OWNERS; i++)
        pthread_create(&t[i], NULL, i == OWNERS ? use_closed : come_and_go, NULL);
    for (int i = 0; i <= OWNERS; i++) {
        if (i == OWNERS)
            atomic_store(&stop, true);
        pthread_join(t[i], NULL);
    }
    xp_kept_drop();
    for (int fd = 3; fd < TOP; fd++)
        if (xp_get(fd) || atomic_load(&holders[fd])) {
            fprintf(stderr, "%d is lost\n", fd);
            return 1;
        }
    return 0;
}
