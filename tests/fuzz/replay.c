/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target over every file of the folders named as arguments, and over every prefix of the small ones. */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define SMALL 512 /* bytes */

/* A copy that ends where its memory ends, so that a sanitizer sees reads beyond it. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size + 1);

    FUZZ_CHECK(f != NULL && data != NULL);
    FUZZ_CHECK(fread(data, 1, size, f) == size);
    fclose(f);
    if (size <= SMALL) {
        for (size_t n = 0; n < size; n++)
            run(data, n);
    }
    run(data, size);
    free(data);
}

/* Returns how many files were run, or -1 when the folder cannot be read. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0;

    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL) {
        char path[4096];
        struct stat st;

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            replay_file(path, (size_t)st.st_size);
            n++;
        }
    }
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    bool ok = argc > 1;

    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i]);

        printf("%s: %d inputs\n", argv[i], n);
        ok = ok && n > 0;
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
