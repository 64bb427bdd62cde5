/* SPDX-License-Identifier: Apache-2.0
 * epoll sets: the rules of epoll_ctl, a set and its members closed, copied and shared. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

#define PATIENCE_MS 20000

static int ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    return epoll_ctl(ep, op, fd, &ev);
}

static int in_set(int fd, uint32_t events)
{
    int ep = epoll_create1(0);
    if (ctl(ep, EPOLL_CTL_ADD, fd, events) < 0)
        say_ret("  (ADD)", -1);
    return ep;
}

/* What a set has, at most four events, and of how many descriptors. */
static void say_wait(const char *name, int ep, int timeout)
{
    struct epoll_event evs[4] = {0};
    int r = epoll_wait(ep, evs, 4, timeout);
    if (r < 0)
        say("  %s: %s", name, strerrorname_np(errno));
    else
        say("  %s: %d, %#x%s", name, r, evs[0].events, r > 1 && evs[0].data.fd == evs[1].data.fd ? ", one twice" : "");
}

static void take_all(int fd)
{
    char buf[256];
    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
}

/* ---- rules ---- */

/* For arguments that the compiler would not let pass. */
static int (*volatile any_wait)(int ep, struct epoll_event *evs, int max, int timeout) = epoll_wait;

static void rules(void)
{
    int n, fd = dial(&n), ep = epoll_create1(0), ep2 = epoll_create1(0), file = open("/", O_RDONLY), gone = dup(fd);
    struct epoll_event ev = {.events = EPOLLIN};
    close(gone);
    say("epoll_ctl");
    for (int added = 0; added < 2; added++) {
        say_ret("  an operation that is none", ctl(ep, 7, fd, EPOLLIN));
        say_ret("  the operation 0", ctl(ep, 0, fd, EPOLLIN));
        say_ret("  the operation 0, no event", epoll_ctl(ep, 0, fd, NULL));
        say_ret("  ADD, no event", epoll_ctl(ep, EPOLL_CTL_ADD, fd, NULL));
        say_ret("  MOD, no event", epoll_ctl(ep, EPOLL_CTL_MOD, fd, NULL));
        say_ret("  ADD, no event, no set", epoll_ctl(gone, EPOLL_CTL_ADD, fd, NULL));
        say_ret("  no set", ctl(gone, EPOLL_CTL_ADD, fd, EPOLLIN));
        say_ret("  set -1", ctl(-1, EPOLL_CTL_ADD, fd, EPOLLIN));
        say_ret("  no descriptor", ctl(ep, EPOLL_CTL_ADD, gone, EPOLLIN));
        say_ret("  descriptor -1", ctl(ep, EPOLL_CTL_ADD, -1, EPOLLIN));
        say_ret("  DEL, no descriptor", ctl(ep, EPOLL_CTL_DEL, gone, EPOLLIN));
        say_ret("  a directory", ctl(ep, EPOLL_CTL_ADD, file, EPOLLIN));
        say_ret("  a socket in a directory", ctl(file, EPOLL_CTL_ADD, fd, EPOLLIN));
        say_ret("  a socket in a socket", ctl(fd, EPOLL_CTL_ADD, fd, EPOLLIN));
        say_ret("  a set in itself", ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN));
        say_ret("  MOD to EXCLUSIVE", ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE));
        say_ret("  EXCLUSIVE and ONESHOT", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
        say_ret("  EXCLUSIVE and RDHUP", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP));
        say_ret("  EXCLUSIVE and PRI", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI));
        say_ret("  EXCLUSIVE, a set", ctl(ep, EPOLL_CTL_ADD, ep2, EPOLLIN | EPOLLEXCLUSIVE));
        say_ret("  MOD", ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN));
        say_ret("  DEL", ctl(ep, EPOLL_CTL_DEL, fd, 0));
        say_ret("  DEL, no event", epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
        say_ret("  EXCLUSIVE", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE));
        say_ret("  EXCLUSIVE again", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE));
        say_ret("  MOD of an EXCLUSIVE one", ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN));
        say_wait("EXCLUSIVE", ep, 0);
        say_wait("EXCLUSIVE again", ep, 0);
        say_ret("  DEL of an EXCLUSIVE one", ctl(ep, EPOLL_CTL_DEL, fd, 0));
        say_ret("  ADD", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
    }
    say("epoll_wait");
    say_ret("  for none", any_wait(ep, &ev, 0, 0));
    say_ret("  for -1", any_wait(ep, &ev, -1, 0));
    say_ret("  for very many", any_wait(ep, &ev, INT32_MAX / 12 + 1, 0));
    say_ret("  nowhere to put them", any_wait(ep, NULL, 1, 0));
    ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
    say_ret("  nowhere to put one", any_wait(ep, NULL, 1, 0));
    say_wait("and then", ep, 0);
    say_ret("  on a socket", any_wait(fd, &ev, 1, 0));
    say_ret("  on nothing", any_wait(gone, &ev, 1, 0));
    say_ret("  on nothing, for none", any_wait(gone, &ev, 0, 0));
    say_ret("  on a socket, for none", any_wait(fd, &ev, 0, 0));
    say_ret("epoll_create(0)", epoll_create(0));
    say_ret("epoll_create1(1)", epoll_create1(1));
    close(ep);
    close(ep2);
    close(file);
    close(fd);
}

/* ---- members that are closed and copied ---- */

static void copies(void)
{
    int n, fd = dial(&n), copy = dup(fd), ep = in_set(fd, EPOLLIN | EPOLLOUT), second = in_set(copy, EPOLLIN);
    say("copies");
    say_ret("  ADD of a copy", ctl(ep, EPOLL_CTL_ADD, copy, EPOLLIN | EPOLLOUT));
    say_wait("both", ep, 0);
    peer("send %d 1", n);
    say_wait("data, the other set", second, PATIENCE_MS);
    say_wait("data", ep, PATIENCE_MS);
    ctl(ep, EPOLL_CTL_DEL, copy, 0);
    close(fd);
    say_wait("closed without DEL, a copy left", ep, PATIENCE_MS);
    say_ret("  DEL by the number that was closed", ctl(ep, EPOLL_CTL_DEL, fd, 0));
    say_ret("  MOD by the number that was closed", ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN));
    take_all(copy);
    say_wait("read through the copy", ep, 0);
    int other = dial(&n);
    say("  the number is used again: %d", other == fd);
    say_ret("  ADD of the new one", ctl(ep, EPOLL_CTL_ADD, other, EPOLLOUT));
    say_wait("old and new", ep, 0);
    say_ret("  DEL of the new one", ctl(ep, EPOLL_CTL_DEL, other, 0));
    say_wait("old", ep, 0);
    close(copy);
    say_wait("the copy closed too", ep, 0);
    say_wait("and in the other set", second, 0);
    close(other);
    close(ep);
    close(second);
}

/* dup2 over a member. */
static void replaced(void)
{
    int n, m, fd = dial(&n), other = dial(&m), ep = in_set(fd, EPOLLIN);
    say("dup2 over a member");
    dup2(other, fd);
    peer("send %d 1", m);
    until(other, POLLIN);
    say_wait("data for the new one", ep, 0);
    say_ret("  MOD", ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN));
    say_ret("  ADD", ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN));
    say_wait("added", ep, 0);
    close(fd);
    say_wait("closed, the other left", ep, 0);
    close(other);
    say_wait("both closed", ep, 0);
    close(ep);
}

/* A copy of the set itself. */
static void set_copies(void)
{
    int n, fd = dial(&n), ep = epoll_create1(0), copy = dup(ep);
    say("a copied set");
    ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET);
    say_wait("copy", copy, 0);
    say_wait("first", ep, 0);
    say_ret("  ADD by the copy", ctl(copy, EPOLL_CTL_ADD, fd, EPOLLIN));
    say_ret("  MOD by the copy", ctl(copy, EPOLL_CTL_MOD, fd, EPOLLOUT));
    close(ep);
    say_wait("first closed", copy, 0);
    close(fd);
    say_wait("socket closed", copy, 0);
    close(copy);
}

/* More are ready than are asked for: they come in turn. */
static void turns(void)
{
    enum { N = 5 };
    int n, fd[N], seen[N] = {0}, ep = epoll_create1(0), all = 0;
    for (int i = 0; i < N; i++) {
        struct epoll_event ev = {.events = EPOLLOUT, .data.u32 = (uint32_t)i};
        fd[i] = dial(&n);
        epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &ev);
    }
    for (int k = 0; k < N; k++) {
        struct epoll_event evs[2];
        int r = epoll_wait(ep, evs, 2, 0);
        for (int i = 0; i < r; i++)
            seen[evs[i].data.u32]++;
    }
    for (int i = 0; i < N; i++)
        all += seen[i] == 2;
    say("in turn: %d of %d twice", all, N);
    for (int i = 0; i < N; i++)
        close(fd[i]);
    close(ep);
}

/* ---- over fork ---- */

/* The child waits in the set that its parent made. */
static void forked(void)
{
    int n, fd = dial(&n), ep = in_set(fd, EPOLLIN), status = 0;
    say("a set over fork");
    pid_t pid = fork();
    if (pid == 0) {
        struct epoll_event ev = {0};
        int r = epoll_wait(ep, &ev, 1, PATIENCE_MS);
        _exit(r == 1 && ev.data.fd == fd && ev.events == EPOLLIN ? 7 : 1);
    }
    peer("send %d 1", n);
    waitpid(pid, &status, 0);
    say("  the child: %d", WEXITSTATUS(status));
    say_wait("the parent", ep, PATIENCE_MS);
    take_all(fd);
    say_wait("the parent, read", ep, 0);
    close(fd);
    say_wait("the parent, closed", ep, 0);
    close(ep);
}

/* What the child changes, the parent has. */
static void forked_change(void)
{
    int n, m, fd = dial(&n), other = dial(&m), ep = in_set(fd, EPOLLOUT), status = 0;
    say("a set changed after fork");
    pid_t pid = fork();
    if (pid == 0)
        _exit(ctl(ep, EPOLL_CTL_DEL, fd, 0) == 0 && ctl(ep, EPOLL_CTL_ADD, other, EPOLLOUT | EPOLLIN) == 0 ? 7 : 1);
    waitpid(pid, &status, 0);
    say("  the child: %d", WEXITSTATUS(status));
    say_ret("  DEL of what the child has deleted", ctl(ep, EPOLL_CTL_DEL, fd, 0));
    say_ret("  DEL of what the child has added", ctl(ep, EPOLL_CTL_DEL, other, 0));
    close(fd);
    close(other);
    close(ep);
}

void probe_sets(void)
{
    rules();
    copies();
    replaced();
    set_copies();
    turns();
    forked();
    forked_change();
}
