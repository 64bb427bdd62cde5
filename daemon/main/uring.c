/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/uring.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/base/macros.h"

/* Not every liburing's library has the functions that its header declares for these. */
static int do_register(const struct io_uring *ring, unsigned op, const void *arg, unsigned n)
{
    return syscall(SYS_io_uring_register, ring->ring_fd, op, arg, n) < 0 ? -errno : 0;
}

static int restrict_to_ours(const struct io_uring *ring)
{
    static const struct io_uring_restriction list[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SENDMSG},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECV},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_ADD},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_REMOVE},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_PBUF_RING},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_UNREGISTER_PBUF_RING},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_SYNC_CANCEL},
    };
    return do_register(ring, IORING_REGISTER_RESTRICTIONS, list, XT_ARRAY_LEN(list));
}

int xt_uring_open(struct io_uring *ring, unsigned entries)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                                         IORING_SETUP_R_DISABLED,
                                .cq_entries = 4 * entries};
    int rc = io_uring_queue_init_params(entries, ring, &p);
    if (rc < 0)
        return rc;
    rc = restrict_to_ours(ring);
    if (rc == 0)
        rc = do_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (rc < 0)
        io_uring_queue_exit(ring);
    return rc;
}
