/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/kept.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/rand.h"

#define MAGIC 0x50545458u /* "XTTP" in memory */
#define VERSION 2u

static_assert(sizeof(struct xt_kept_page) <= XT_KEPT_PAGE, "xt_kept_page");

static int map(struct xt_kept *st, int fd, size_t stack_size)
{
    void *p = mmap(NULL, XT_KEPT_PAGE + stack_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    st->fd = fd;
    st->page = p;
    st->stack = (char *)p + XT_KEPT_PAGE;
    return 0;
}

int xt_kept_new(struct xt_kept *st, size_t stack_size)
{
    int fd = memfd_create("xtcp-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    int rc = 0;
    if (ftruncate(fd, (off_t)(XT_KEPT_PAGE + stack_size)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        rc = -errno;
    if (rc == 0)
        rc = map(st, fd, stack_size);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    st->page->version = VERSION;
    st->page->size = XT_KEPT_PAGE + stack_size;
    st->page->epoch = 1;
    xt_random_bytes(st->page->key, sizeof st->page->key);
    st->page->magic = MAGIC;
    return 0;
}

/* The page is read by itself first, for the rest may be of any size. */
int xt_kept_check(int fd, size_t stack_size, char *err, size_t errlen)
{
    struct xt_kept_page page;
    struct stat sb;
    if (fstat(fd, &sb) < 0 || pread(fd, &page, sizeof page, 0) != (ssize_t)sizeof page || page.magic != MAGIC)
        snprintf(err, errlen, "the kept state is not one of xtcpd's");
    else if (page.version != VERSION)
        snprintf(err, errlen, "the kept state has layout %u, this xtcpd has %u", page.version, VERSION);
    else if (page.size != XT_KEPT_PAGE + stack_size || (uint64_t)sb.st_size != page.size)
        snprintf(err, errlen, "the kept state is for another number of connections (max-connections has changed)");
    else
        return 0;
    return -EPROTO;
}

int xt_kept_open(struct xt_kept *st, int fd, size_t stack_size, char *err, size_t errlen)
{
    int rc = xt_kept_check(fd, stack_size, err, errlen);
    if (rc == 0) {
        rc = map(st, fd, stack_size);
        if (rc < 0)
            snprintf(err, errlen, "the kept state cannot be mapped: %s", strerror(-rc));
    }
    if (rc < 0) {
        close(fd);
        return rc;
    }
    st->page->epoch++;
    return 0;
}

void xt_kept_close(struct xt_kept *st)
{
    munmap(st->page, st->page->size);
    close(st->fd);
}
