/* Runs a fuzz target over its saved corpus: replay_<target> FOLDER. Fails if the folder
 * has no file, so that an empty corpus cannot pass for a tested one. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *folder, const char *name)
{
    char path[4096];
    FILE *f;
    uint8_t *data;
    long size;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return -1;
    }
    (void)fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    data = malloc((size_t)size + 1);
    if (data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size) {
        (void)fprintf(stderr, "%s: cannot read\n", path);
        free(data);
        (void)fclose(f);
        return -1;
    }
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent *entry;
    DIR *dir;
    int n = 0;
    int failed = 0;

    if (argc != 2 || (dir = opendir(argv[1])) == NULL) {
        (void)fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            failed |= run_file(argv[1], entry->d_name);
            n++;
        }
    }
    (void)closedir(dir);
    (void)printf("%d inputs replayed\n", n);
    return failed != 0 || n == 0;
}
