/* SPDX-License-Identifier: Apache-2.0
 * Places where a test has the stack process die, to see that nothing is lost: between two stores that belong together. In ordinary
 * builds they are nothing at all (meson option crash_points). */
#ifndef XT_BASE_CRASH_H
#define XT_BASE_CRASH_H

#include <stdatomic.h>
#include <stdint.h>

/* The file that the environment variable XT_CRASH_FILE names, made by the test: this struct. It is looked at by every stack process
 * from its start on. */
struct xt_crash {
    _Atomic int64_t left;   /* points until the process dies; not above 0: it does not */
    _Atomic int64_t signal; /* by which signal */
    _Atomic int64_t again;  /* `left` once more for the next process, after the death; 0: that one lives on */
    _Atomic int64_t port;   /* not 0: only points of changes to connections with this local port count */
    _Atomic int64_t passed; /* points passed since the test last set this to 0 */
    char place[256];        /* where the last death was, with its file and line */
    char within[64];        /* not empty: only points in files with this in their name count */
};

#ifdef XT_CRASH_POINTS
void xt_crash_point(const char *file, int line);
void xt_crash_point_of(uint16_t port, const char *file, int line);
#define XT_CRASH_POINT() xt_crash_point(__FILE__, __LINE__)
#define XT_CRASH_POINT_OF(port) xt_crash_point_of(port, __FILE__, __LINE__)
#else
#define XT_CRASH_POINT() ((void)0)
#define XT_CRASH_POINT_OF(port) ((void)0)
#endif

#endif
