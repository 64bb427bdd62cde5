/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XT_TESTS_SCARCE_H
#define XT_TESTS_SCARCE_H

#include <stdatomic.h>
#include <stdint.h>

/* scarce.py writes and reads it. */
struct scarce {
    _Atomic int64_t from;   /* which call is the first to fail, counted from 1; 0: none */
    _Atomic int64_t count;  /* so many from there on */
    _Atomic int64_t passed; /* calls since the test last set this to 0 */
    _Atomic int64_t failed; /* of them */
    char place[256];        /* where the first of those was called */
};

#endif
