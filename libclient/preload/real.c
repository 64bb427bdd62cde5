/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/preload/real.h"

struct xp_real_calls xp_real_table;

void xp_real_init(void)
{
#define X(name) xp_real_table.name = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);
    XP_REAL_LIST(X)
#undef X
    atomic_store_explicit(&xp_real_table.ready, 1, memory_order_release);
}

#if defined(__x86_64__)
long xp_rawcall(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#elif defined(__aarch64__)
long xp_rawcall(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "xp_rawcall: this architecture is not known"
#endif
