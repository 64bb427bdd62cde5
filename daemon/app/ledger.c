/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/app/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/app/internal.h"

static int map(struct xt_ledger **out, int fd, uint32_t max_slots)
{
    void *p = mmap(NULL, xt_ledger_size(max_slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *out = p;
    return 0;
}

int xt_ledger_new(struct xt_ledger **out, int *fd, uint32_t max_slots)
{
    int rc;
    *fd = memfd_create("xtcp-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return -errno;
    if (ftruncate(*fd, (off_t)xt_ledger_size(max_slots)) < 0 ||
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        rc = -errno;
    else
        rc = map(out, *fd, max_slots);
    if (rc < 0) {
        close(*fd);
        *fd = -1;
        return rc;
    }
    struct xt_ledger *l = *out;
    l->version = XT_LEDGER_VERSION;
    l->slot_size = sizeof(struct xt_pslot);
    l->max_slots = max_slots;
    l->magic = XT_LEDGER_MAGIC;
    return 0;
}

int xt_ledger_open(struct xt_ledger **out, int fd)
{
    struct xt_ledger head;
    struct stat sb;
    size_t len = offsetof(struct xt_ledger, waiter);
    if (fstat(fd, &sb) < 0 || pread(fd, &head, len, 0) != (ssize_t)len || head.magic != XT_LEDGER_MAGIC ||
        head.version != XT_LEDGER_VERSION || head.slot_size != sizeof(struct xt_pslot) || head.max_slots == 0 ||
        head.max_slots > XT_BITMAP_MAX || (uint64_t)sb.st_size != xt_ledger_size(head.max_slots) ||
        head.slots_high > head.max_slots)
        return -EPROTO;
    return map(out, fd, head.max_slots);
}

void xt_ledger_close(struct xt_ledger *l)
{
    munmap(l, xt_ledger_size(l->max_slots));
}
