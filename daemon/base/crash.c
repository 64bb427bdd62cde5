/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct xt_crash *shared;

static void __attribute__((constructor)) open_shared(void)
{
    const char *path = getenv("XT_CRASH_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p != MAP_FAILED)
        shared = p;
}

static void pass(const char *file, int line)
{
    if (!strstr(file, shared->within))
        return;
    atomic_fetch_add(&shared->passed, 1);
    if (atomic_load(&shared->left) <= 0 || atomic_fetch_sub(&shared->left, 1) != 1)
        return;
    atomic_store(&shared->left, atomic_exchange(&shared->again, 0));
    snprintf(shared->place, sizeof shared->place, "%s:%d", file, line);
    int sig = (int)atomic_load(&shared->signal);
    signal(sig, SIG_DFL);
    kill(getpid(), sig);
    for (;;)
        pause();
}

void xt_crash_point(const char *file, int line)
{
    if (shared && !atomic_load(&shared->port))
        pass(file, line);
}

void xt_crash_point_of(uint16_t port, const char *file, int line)
{
    int64_t only = shared ? atomic_load(&shared->port) : 0;
    if (shared && (!only || only == port))
        pass(file, line);
}
