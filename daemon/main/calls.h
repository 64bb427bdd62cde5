/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XT_MAIN_CALLS_H
#define XT_MAIN_CALLS_H

/* From here on no thread of the process makes other system calls than those of the list: another one is not carried out, is named in the
 * log and ends the process by SIGSYS. Returns 0 or a negative errno. */
int xt_calls_limit(void);

#endif
