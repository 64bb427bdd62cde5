/* SPDX-License-Identifier: Apache-2.0
 * Descriptors that came from others. To close one may take for ever: a TCP socket whose owner lets it linger, a file of a file system
 * that its owner serves. So threads do it that have nothing else to do. Used from one thread. */
#ifndef XT_CTL_FOREIGN_H
#define XT_CTL_FOREIGN_H

struct xt_foreign;

struct xt_foreign *xt_foreign_new(void); /* NULL: no memory */

/* Does not wait for what hangs. */
void xt_foreign_free(struct xt_foreign *f);

/* Closes `fd`: at once if that cannot take long, else soon. */
void xt_foreign_close(struct xt_foreign *f, int fd);

#endif
