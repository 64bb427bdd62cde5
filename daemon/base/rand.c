/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/rand.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void xt_random_bytes(void *p, size_t n)
{
    uint8_t *at = p;

    while (n > 0) {
        /* More than 256 bytes may come in parts, and a signal may interrupt. */
        ssize_t got = getrandom(at, n, 0);

        if (got < 0) {
            if (errno == EINTR)
                continue;
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}
