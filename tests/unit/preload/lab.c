/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/preload/lab.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libclient/preload/table.h"

static struct sockaddr_in address(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, LAB_ADDR, &a.sin_addr);
    return a;
}

void lab_up(void)
{
    struct ifreq r = {.ifr_name = "lo"}, alias = {.ifr_name = "lo:1"};
    struct sockaddr_in a = address(0);
    if (unshare(CLONE_NEWNET) < 0)
        cr_skip_test("needs root for a network namespace");
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &r), 0);
    memcpy(&alias.ifr_addr, &a, sizeof a);
    cr_assert_eq(ioctl(fd, SIOCSIFADDR, &alias), 0);
    close(fd);
}

int lab_listen(int *port)
{
    struct sockaddr_in a = address(0);
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(xp_kind(xp_get(fd)), XP_XTCP, "the listener is xtcp's");
    *port = ntohs(a.sin_port);
    return fd;
}

int lab_connect(int port)
{
    struct sockaddr_in a = address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(xp_kind(xp_get(fd)), XP_XTCP, "the connection is xtcp's");
    return fd;
}

void lab_pair(int fds[2])
{
    int port, l = lab_listen(&port);
    fds[0] = lab_connect(port);
    fds[1] = accept(l, NULL, NULL);
    cr_assert_geq(fds[1], 0);
    close(l);
}
