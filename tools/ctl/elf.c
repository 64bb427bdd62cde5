/* SPDX-License-Identifier: Apache-2.0
 * Whether a preload can work in a program: it must be dynamically linked, must not change its user or group, and must use libc,
 * which Go's own library does not. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

#define FILES_MAX 6 /* scripts and the program at the end, as the kernel follows interpreters */

/* Go's linker leaves a note with its name. */
static bool is_go(int fd, const Elf64_Phdr *ph)
{
    struct {
        Elf64_Nhdr h;
        char name[4];
    } note;
    for (Elf64_Off at = 0; at + sizeof note <= ph->p_filesz;) {
        if (pread(fd, &note, sizeof note, (off_t)(ph->p_offset + at)) != (ssize_t)sizeof note)
            return false;
        if (note.h.n_namesz == sizeof note.name && memcmp(note.name, "Go\0", sizeof note.name) == 0)
            return true;
        at += sizeof note.h + (note.h.n_namesz + 3ULL) / 4 * 4 + (note.h.n_descsz + 3ULL) / 4 * 4;
    }
    return false;
}

/* Program headers say where the interpreter (the dynamic linker) is: without one, nothing reads LD_PRELOAD. */
static enum ctl_elf look_at_headers(int fd, const Elf64_Ehdr *eh)
{
    if (eh->e_ident[EI_CLASS] != ELFCLASS64)
        return CTL_ELF_FOREIGN;
    if (eh->e_phentsize != sizeof(Elf64_Phdr))
        return CTL_ELF_OTHER;
    enum ctl_elf result = CTL_ELF_STATIC;
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        Elf64_Phdr ph;
        if (pread(fd, &ph, sizeof ph, (off_t)(eh->e_phoff + i * sizeof ph)) != (ssize_t)sizeof ph)
            return CTL_ELF_OTHER;
        if (ph.p_type == PT_NOTE && is_go(fd, &ph))
            return CTL_ELF_GO;
        if (ph.p_type == PT_INTERP)
            result = CTL_ELF_DYNAMIC;
    }
    return result;
}

/* Whether the dynamic linker will be told to trust nobody (AT_SECURE): the kernel looks at what changes, so root may run what is
 * set-user-ID root or has capabilities, and where neither counts (nosuid, no_new_privs), nothing changes. */
static enum ctl_elf look_at_rights(int fd)
{
    struct stat st;
    struct statvfs fs;
    if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0)
        return CTL_ELF_OTHER;
    if (fs.f_flag & ST_NOSUID || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return CTL_ELF_DYNAMIC;
    bool setgid = st.st_mode & S_ISGID && st.st_mode & S_IXGRP; /* without the latter it means something else */
    if ((st.st_mode & S_ISUID && st.st_uid != getuid()) || (setgid && st.st_gid != getgid()))
        return CTL_ELF_SETID;
    return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0 ? CTL_ELF_CAPS : CTL_ELF_DYNAMIC;
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
    for (int depth = 0; depth < FILES_MAX; depth++) {
        union {
            Elf64_Ehdr eh;
            char text[256];
        } head = {0};
        char next[256];
        int fd = open(what, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return CTL_ELF_OTHER;
        ssize_t n = pread(fd, head.text, sizeof head.text - 1, 0);
        enum ctl_elf result = CTL_ELF_OTHER;
        bool is_elf = n >= (ssize_t)sizeof head.eh && memcmp(head.text, ELFMAG, SELFMAG) == 0;
        if (is_elf)
            result = look_at_rights(fd);
        if (result == CTL_ELF_DYNAMIC)
            result = look_at_headers(fd, &head.eh);
        close(fd);
        if (is_elf || n < 3 || !script_interpreter(head.text, next, sizeof next))
            return result;
        snprintf(what, size, "%s", next);
    }
    return CTL_ELF_OTHER;
}
