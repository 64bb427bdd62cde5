/* SPDX-License-Identifier: Apache-2.0
 * Symbols found in odd ways, small stacks, high and low descriptor numbers, fork handlers, confinement. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include "tests/e2e/corners.h"

static void say_back(const char *what, int s)
{
    char c = 'x';
    check(what, write(s, &c, 1) == 1 && read(s, &c, 1) == 1 && c == 'x');
}

/* ---- symbols ---- */

typedef ssize_t send_fn(int, const void *, size_t, int);

static void send_by(const char *how, void *handle, int s)
{
    send_fn *fn = (send_fn *)dlsym(handle, "send");
    char what[64];
    snprintf(what, sizeof what, "symbols: %s", how);
    check(what, fn && fn(s, "ab", 2, MSG_NOSIGNAL) == 2);
}

static void talk_by(const char *name, int mode)
{
    char path[PATH_MAX], what[64];
    Dl_info info;
    void *self = dlsym(RTLD_DEFAULT, "corners_talk"), *lib;
    if (!dladdr(self, &info) || !realpath(info.dli_fname, path))
        fail("dladdr");
    lib = dlopen(path, mode);
    int (*fn)(const char *) = lib ? (int (*)(const char *))dlsym(lib, "corners_talk") : NULL;
    snprintf(what, sizeof what, "symbols: %s", name);
    check(what, fn && fn(name) == 0);
}

void corner_symbols(void)
{
    int s = dial("sum");
    send_by("default", RTLD_DEFAULT, s);
    send_by("next", RTLD_NEXT, s);
    send_by("of the program", dlopen(NULL, RTLD_NOW), s);
    say_sum("symbols: sum", s);
    talk_by("deepbind", RTLD_NOW | RTLD_DEEPBIND);
    talk_by("global", RTLD_NOW | RTLD_GLOBAL);
}

/* ---- threads with the smallest stack ---- */

static void *use_much(void *arg)
{
    struct pollfd many[8];
    struct epoll_event ev = {.events = EPOLLIN};
    struct timeval no_time = {0};
    struct iovec iov = {.iov_base = "abc", .iov_len = 3};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    char c = 'x', buf[64];
    fd_set in;
    long *ok = arg;
    int s = try_dial("echo"), ep = epoll_create1(0), file = open("/dev/zero", O_RDONLY);
    if (s < 0)
        return NULL;
    FD_ZERO(&in);
    FD_SET(s, &in);
    for (int i = 0; i < 8; i++)
        many[i] = (struct pollfd){.fd = s, .events = POLLOUT};
    *ok += select(s + 1, &in, NULL, NULL, &no_time) == 0;
    *ok += poll(many, 8, 100) == 8;
    *ok += epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev) == 0 && epoll_wait(ep, &ev, 1, 0) == 0;
    *ok += send(s, &c, 1, 0) == 1 && recv(s, &c, 1, 0) == 1 && c == 'x';
    *ok += sendmsg(s, &mh, 0) == 3 && recv(s, buf, 3, MSG_WAITALL) == 3;
    *ok += sendfile(s, file, NULL, 10) == 10 && recv(s, buf, 10, MSG_WAITALL) == 10;
    *ok += dprintf(s, "%d", 12345) == 5 && recv(s, buf, 5, MSG_WAITALL) == 5;
    *ok += fcntl(dup(s), F_SETFD, FD_CLOEXEC) == 0;
    char *const args[] = {"true", NULL}, *const no_env[] = {NULL};
    pid_t pid = vfork();
    if (pid == 0) {
        execve("/bin/true", args, no_env);
        _exit(1);
    }
    *ok += end_of(pid) == 0;
    close(file);
    close(ep);
    close(s);
    return NULL;
}

void corner_stacks(void)
{
    pthread_attr_t attr;
    pthread_t t;
    long ok = 0;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)sysconf(_SC_THREAD_STACK_MIN));
    if (pthread_create(&t, &attr, use_much, &ok) != 0)
        fail("pthread_create");
    pthread_join(t, NULL);
    say("stacks: %ld", ok);
}

/* ---- numbers ---- */

#define HIGH 900000

void corner_numbers(void)
{
    struct rlimit many = {1 << 20, 1 << 20};
    struct epoll_event ev = {.events = EPOLLIN};
    char c = 'x';
    int s = dial("echo"), out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
    if (setrlimit(RLIMIT_NOFILE, &many) < 0) {
        check("numbers: high", 1);
    } else {
        int ep = epoll_create1(0), high = dup2(s, HIGH);
        struct pollfd p = {.fd = HIGH, .events = POLLIN};
        close(s);
        epoll_ctl(ep, EPOLL_CTL_ADD, HIGH, &ev);
        send_all(HIGH, &c, 1);
        check("numbers: high", high == HIGH && poll(&p, 1, 10000) == 1 && epoll_wait(ep, &ev, 1, 10000) == 1 &&
                                   recv(HIGH, &c, 1, 0) == 1);
        close_range(HIGH - 10, ~0u, 0);
        check("numbers: high closed", fcntl(HIGH, F_GETFD) < 0 && errno == EBADF);
        close(ep);
    }
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    int low = dial("echo"), next = dial("echo"), third = dial("note low");
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/echo", "echo", "to the echo server", (char *)NULL);
        _exit(1);
    }
    int end = end_of(pid);
    char text[32] = "";
    recv_all(next, text, 19);
    int right = write(low, "x", 1) == 1 && read(low, &c, 1) == 1;
    dprintf(third, "on 2");
    dup2(out, STDOUT_FILENO);
    say("numbers: low %d %d %d, child %d, %.18s", low, next, third, end, text);
    check("numbers: low", right);
}

/* ---- fork handlers that use sockets ---- */

static int forked;

static void in_prepare(void)
{
    send_all(forked, "\1", 1);
}
static void in_parent(void)
{
    send_all(forked, "\20", 1);
}
static void in_child(void)
{
    send_all(forked, "\100", 1);
}

void corner_atfork(void)
{
    forked = dial("sum");
    pthread_atfork(in_prepare, in_parent, in_child);
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            int s = dial("echo");
            say_back("atfork: in the child", s);
            exit(0);
        }
        say("atfork: %d", end_of(pid));
    }
    say_sum("atfork", forked);
}

/* ---- strict seccomp: read, write and exit are all there is ---- */

void corner_strict(void)
{
    int s = dial("echo");
    char c = 'x';
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
            _exit(2);
        for (int i = 0; i < 100; i++)
            if (write(s, &c, 1) != 1 || read(s, &c, 1) != 1)
                syscall(SYS_exit, 3);
        syscall(SYS_exit, 0);
    }
    say("strict: %d", end_of(pid));
}
