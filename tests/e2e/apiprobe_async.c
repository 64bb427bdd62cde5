/* SPDX-License-Identifier: Apache-2.0
 * Signals about a socket: SIGIO, SIGURG, and who gets them. The handler counts, while the program makes no call on the socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/apiprobe.h"

static volatile sig_atomic_t count[NSIG], last_fd;

static void on_signal(int sig, siginfo_t *si, void *context)
{
    count[sig]++;
    last_fd = si->si_fd;
}

/* Whether the signal came, within seconds. */
static void say_signal(const char *what, int sig)
{
    const struct timespec a_while = {.tv_nsec = 5000000};
    for (int i = 0; i < 1000 && !count[sig]; i++)
        nanosleep(&a_while, NULL);
    say("%s: %s", what, count[sig] ? "signal" : "(waited in vain)");
    count[sig] = 0;
}

/* A signal that must not come would have come before what follows it. */
static void say_none(const char *what, int sig)
{
    settle();
    say("%s: %s", what, count[sig] ? "signal" : "none");
    count[sig] = 0;
}

static void catch (int sig)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(sig, &sa, NULL);
}

static void owners(void)
{
    struct f_owner_ex ex = {.type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid)}, got = {0};
    int n, fd = dial(&n), v = -1;
    say("owner: %d, signal %d", fcntl(fd, F_GETOWN), fcntl(fd, F_GETSIG));
    say_ret("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
    say("owner is this: %d", fcntl(fd, F_GETOWN) == getpid());
    say_ret("F_SETOWN group", fcntl(fd, F_SETOWN, -getpgrp()));
    say("owner is the group: %d", fcntl(fd, F_GETOWN) == -getpgrp());
    say_ret("SIOCGPGRP", ioctl(fd, SIOCGPGRP, &v));
    say("group: %d", v == -getpgrp());
    v = getpid();
    say_ret("SIOCSPGRP", ioctl(fd, SIOCSPGRP, &v));
    say_ret("FIOGETOWN", ioctl(fd, FIOGETOWN, &v));
    say("owner is this: %d", v == getpid());
    say_ret("F_SETOWN_EX", fcntl(fd, F_SETOWN_EX, &ex));
    say_ret("F_GETOWN_EX", fcntl(fd, F_GETOWN_EX, &got));
    say("thread: %d %d", got.type, got.pid == ex.pid);
    ex.type = 9;
    say_ret("F_SETOWN_EX wrong", fcntl(fd, F_SETOWN_EX, &ex));
    say_ret("F_SETOWN nobody", fcntl(fd, F_SETOWN, 0x3fffffff));
    say_ret("F_SETSIG wrong", fcntl(fd, F_SETSIG, 999));
    say_ret("F_SETSIG", fcntl(fd, F_SETSIG, SIGRTMIN));
    say("signal: %d", fcntl(fd, F_GETSIG) == SIGRTMIN);
    say_ret("O_ASYNC", fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
    say("flags: %x", (unsigned)fcntl(fd, F_GETFL) & (O_ASYNC | O_NONBLOCK));
    v = 0;
    say_ret("FIOASYNC", ioctl(fd, FIOASYNC, &v));
    say("flags: %x", (unsigned)fcntl(fd, F_GETFL) & (O_ASYNC | O_NONBLOCK));
    close(fd);
}

static void connection(void)
{
    char buf[64];
    int n, fd = dial(&n);
    peer("oob %d", n);
    say_none("urgent, no owner", SIGURG);
    fcntl(fd, F_SETOWN, getpid());
    peer("send %d 3", n);
    say_none("data, no O_ASYNC", SIGIO);
    peer("oob %d", n);
    say_signal("urgent", SIGURG);
    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        continue;
    fcntl(fd, F_SETFL, O_ASYNC);
    for (int i = 0; i < 3; i++) {
        peer("send %d 3", n);
        say_signal("data", SIGIO);
    }
    peer("send %d 3", n);
    say_none("data, but not urgent", SIGURG);
    count[SIGIO] = 0;
    say_ret("read all", read(fd, buf, sizeof buf));
    fcntl(fd, F_SETSIG, SIGRTMIN);
    peer("send %d 3", n);
    say_signal("data, another signal", SIGRTMIN);
    say("descriptor in it: %d", last_fd == fd);
    say("SIGIO: %d", (int)count[SIGIO]);
    fcntl(fd, F_SETSIG, 0);
    fcntl(fd, F_SETFL, 0);
    peer("send %d 3", n);
    say_none("data, O_ASYNC taken back", SIGIO);
    fcntl(fd, F_SETFL, O_ASYNC);
    peer("fin %d", n);
    say_signal("end of file", SIGIO);
    close(fd);
    say_none("closed", SIGIO);
}

static void others(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)peer_port)};
    int fd = listener(), m;
    fcntl(fd, F_SETOWN, getpid());
    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
    m = peer_dials();
    say_signal("a connection to accept", SIGIO);
    int got = accept(fd, NULL, NULL);
    say("accepted: owner %d, flags %x", fcntl(got, F_GETOWN), (unsigned)fcntl(got, F_GETFL) & O_ASYNC);
    peer("send %d 3", m);
    say_none("data of it", SIGIO);
    close(got);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fd, F_SETOWN, getpid());
    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
    inet_pton(AF_INET, peer_addr, &a.sin_addr);
    count[SIGIO] = 0;
    say_ret("connect", connect(fd, (struct sockaddr *)&a, sizeof a));
    m = peer("accept");
    say_signal("connected", SIGIO);
    say("owner is kept: %d", fcntl(fd, F_GETOWN) == getpid());
    peer("rst %d", m);
    say_signal("reset", SIGIO);
    close(fd);
}

/* By the time that connect() returns, all of it may be over. */
static void within(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)own_port)};
    int l = listener(), fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, own_addr, &a.sin_addr);
    fcntl(fd, F_SETOWN, getpid());
    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
    count[SIGIO] = 0;
    connect(fd, (struct sockaddr *)&a, sizeof a);
    say_signal("connected to oneself", SIGIO);
    close(fd);
    close(l);
}

void probe_async(void)
{
    signal(SIGUSR1, SIG_IGN); /* left by others, perhaps without SA_RESTART: see the README's limits */
    catch (SIGIO);
    catch (SIGURG);
    catch (SIGRTMIN);
    owners();
    connection();
    others();
    within();
}
