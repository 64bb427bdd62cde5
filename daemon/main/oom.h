/* SPDX-License-Identifier: Apache-2.0
 * Whom the kernel ends when memory is short: not the keeper, who could then start nobody. */
#ifndef XT_MAIN_OOM_H
#define XT_MAIN_OOM_H

#define XT_OOM_SCORE 16

/* This process is spared; without the privilege (CAP_SYS_RESOURCE) the log says that it is not. `was` is what xt_oom_restore() wants. */
void xt_oom_spare(char was[XT_OOM_SCORE]);
/* Of its child: is treated as others are again. */
void xt_oom_restore(const char *was);

#endif
