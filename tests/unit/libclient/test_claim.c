/* SPDX-License-Identifier: Apache-2.0
 * A daemon that dies before it has answered: its successor is asked anew. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libclient/xtcp.h"
#include "proto/xt_ctl.h"
#include "proto/xt_msg.h"

struct dying {
    int listen_fd;
    unsigned deaths, asked;
};

static void answer(int fd, const uint8_t *request, size_t len)
{
    uint8_t buf[64];
    uint64_t number = 0;
    struct xt_msg_in in;
    struct xt_msg_out out;
    if (xt_msg_parse(&in, request, len) == 0)
        xt_msg_get_uint(&in, "n", &number);
    xt_msg_begin(&out, buf, sizeof buf);
    xt_msg_bool(&out, "ok", true);
    xt_msg_uint(&out, "n", number);
    xt_msg_end(&out);
    xt_msg_send(fd, out.buf, out.len, NULL, 0, 0);
}

static void *serve(void *arg)
{
    struct dying *d = arg;
    uint8_t buf[XT_CTL_MAX];
    struct xt_msg_anc anc;
    while (d->asked <= d->deaths) {
        int fd = accept(d->listen_fd, NULL, NULL);
        ssize_t n = xt_msg_recv(fd, buf, sizeof buf, &anc, 0);
        if (d->asked++ == d->deaths && n > 0)
            answer(fd, buf, (size_t)n);
        xt_msg_anc_close(&anc);
        close(fd);
    }
    return NULL;
}

Test(claim, is_made_anew_after_a_death)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct dying d = {.deaths = 3};
    char dir[] = "/tmp/xtclaim-XXXXXX";
    pthread_t t;
    cr_assert(mkdtemp(dir));
    snprintf(un.sun_path, sizeof un.sun_path, "%s/sock", dir);
    d.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(d.listen_fd, (struct sockaddr *)&un, sizeof un), 0);
    cr_assert_eq(listen(d.listen_fd, 1), 0);
    cr_assert_eq(pthread_create(&t, NULL, serve, &d), 0);
    int rc = xtcp_claim(un.sun_path, d.listen_fd);
    cr_expect_eq(rc, 0, "%d", rc);
    if (rc == 0)
        pthread_join(t, NULL);
    cr_expect_eq(d.asked, 4u);
    close(d.listen_fd);
    unlink(un.sun_path);
    rmdir(dir);
}
