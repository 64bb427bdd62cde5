/* SPDX-License-Identifier: Apache-2.0
 * Whether a preload can work in a program: it must be dynamically linked and must not change its user or group. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

#define SCRIPT_DEPTH 4 /* as the kernel follows interpreters */

/* Program headers say where the interpreter (the dynamic linker) is: without one, nothing reads LD_PRELOAD. */
static enum ctl_elf look_at_headers(int fd, const Elf64_Ehdr *eh)
{
    if (eh->e_ident[EI_CLASS] != ELFCLASS64)
        return CTL_ELF_FOREIGN;
    if (eh->e_phentsize != sizeof(Elf64_Phdr))
        return CTL_ELF_OTHER;
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        Elf64_Phdr ph;
        if (pread(fd, &ph, sizeof ph, (off_t)(eh->e_phoff + i * sizeof ph)) != (ssize_t)sizeof ph)
            return CTL_ELF_OTHER;
        if (ph.p_type == PT_INTERP)
            return CTL_ELF_DYNAMIC;
    }
    return CTL_ELF_STATIC;
}

/* "#!/path/to/interpreter argument". False when it is not one. */
static bool script_interpreter(const char *head, char *out, size_t size)
{
    if (memcmp(head, "#!", 2) != 0)
        return false;
    const char *p = head + 2 + strspn(head + 2, " \t");
    size_t n = strcspn(p, " \t\n");
    if (!n || n >= size)
        return false;
    memcpy(out, p, n);
    out[n] = 0;
    return true;
}

enum ctl_elf ctl_elf_look(const char *path, char *what, size_t size)
{
    snprintf(what, size, "%s", path);
    for (int depth = 0; depth < SCRIPT_DEPTH; depth++) {
        union {
            Elf64_Ehdr eh;
            char text[256];
        } head = {0};
        char next[256];
        struct stat st;
        int fd = open(what, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return CTL_ELF_OTHER;
        ssize_t n = pread(fd, head.text, sizeof head.text - 1, 0);
        enum ctl_elf result = CTL_ELF_OTHER;
        bool is_elf = n >= (ssize_t)sizeof head.eh && memcmp(head.text, ELFMAG, SELFMAG) == 0;
        if (is_elf && fstat(fd, &st) == 0)
            result = st.st_mode & (S_ISUID | S_ISGID)                    ? CTL_ELF_SETID
                     : fgetxattr(fd, "security.capability", NULL, 0) > 0 ? CTL_ELF_CAPS
                                                                         : look_at_headers(fd, &head.eh);
        close(fd);
        if (is_elf || n < 3 || !script_interpreter(head.text, next, sizeof next))
            return result;
        snprintf(what, size, "%s", next);
    }
    return CTL_ELF_OTHER;
}
