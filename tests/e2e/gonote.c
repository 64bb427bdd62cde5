/* SPDX-License-Identifier: Apache-2.0
 * A program that looks like one of Go's linker: it has the note with the build's name. */
__attribute__((section(".note.go.buildid"), used, aligned(4))) static const struct {
    unsigned namesz, descsz, type;
    char name[4], desc[4];
} note = {4, 4, 4, "Go\0", "abc"};

int main(void)
{
    return 0;
}
