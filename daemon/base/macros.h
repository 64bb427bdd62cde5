/* SPDX-License-Identifier: Apache-2.0
 * Small macros that C lacks. Arguments of XT_MIN, XT_MAX and XT_CLAMP are evaluated once. */
#ifndef XT_BASE_MACROS_H
#define XT_BASE_MACROS_H

#include <stddef.h>

/* Elements of an array; a pointer in its place does not compile. */
#define XT_ARRAY_LEN(a)                                                                                \
    (sizeof(a) / sizeof((a)[0]) +                                                                      \
     0 * sizeof(struct {                                                                               \
         int not_an_array : __builtin_types_compatible_p(__typeof__(a), __typeof__(&(a)[0])) ? -1 : 1; \
     }))

/* Names that no other use of the macros has, so that they nest without shadowing. */
#define XT_CAT_(a, b) a##b
#define XT_CAT(a, b) XT_CAT_(a, b)
#define XT_UNIQUE XT_CAT(xt_unique_, __COUNTER__)

#define XT_PICK_(a, op, b, ua, ub) \
    __extension__({                \
        __typeof__(a) ua = (a);    \
        __typeof__(b) ub = (b);    \
        ua op ub ? ua : ub;        \
    })

#define XT_MIN(a, b) XT_PICK_(a, <, b, XT_UNIQUE, XT_UNIQUE)
#define XT_MAX(a, b) XT_PICK_(a, >, b, XT_UNIQUE, XT_UNIQUE)

/* `v`, but at least `lo` and at most `hi` (lo <= hi). */
#define XT_CLAMP(v, lo, hi) XT_MIN(XT_MAX(v, lo), hi)

/* Where the compiler cannot know which way nearly every segment goes. */
#define XT_LIKELY(x) __builtin_expect(!!(x), 1)
#define XT_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* `v` rounded up to a multiple of `align`, a power of two; both unsigned and of the same width. */
#define XT_ALIGN_UP(v, align) (((v) + ((align)-1)) & ~((align)-1))

#endif
