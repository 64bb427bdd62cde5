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

#define XT_MIN(a, b)                                   \
    __extension__({                                    \
        __typeof__(a) xt_min_a_ = (a);                 \
        __typeof__(b) xt_min_b_ = (b);                 \
        xt_min_a_ < xt_min_b_ ? xt_min_a_ : xt_min_b_; \
    })

#define XT_MAX(a, b)                                   \
    __extension__({                                    \
        __typeof__(a) xt_max_a_ = (a);                 \
        __typeof__(b) xt_max_b_ = (b);                 \
        xt_max_a_ > xt_max_b_ ? xt_max_a_ : xt_max_b_; \
    })

/* `v`, but at least `lo` and at most `hi` (lo <= hi). */
#define XT_CLAMP(v, lo, hi)                                                                               \
    __extension__({                                                                                       \
        __typeof__(v) xt_clamp_v_ = (v);                                                                  \
        __typeof__(lo) xt_clamp_lo_ = (lo);                                                               \
        __typeof__(hi) xt_clamp_hi_ = (hi);                                                               \
        xt_clamp_v_<xt_clamp_lo_ ? xt_clamp_lo_ : xt_clamp_v_> xt_clamp_hi_ ? xt_clamp_hi_ : xt_clamp_v_; \
    })

/* `v` rounded up to a multiple of `align`, a power of two; both unsigned and of the same width. */
#define XT_ALIGN_UP(v, align) (((v) + ((align)-1)) & ~((align)-1))

/* The struct of `type` whose `member` is at `ptr`. */
#define XT_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define XT_LIKELY(x) __builtin_expect(!!(x), 1)
#define XT_UNLIKELY(x) __builtin_expect(!!(x), 0)

#endif
