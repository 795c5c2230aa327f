/* Runs a program image with the back end for bare metal: run_bare IMAGE INPUT OUTPUT LIMIT.
 *
 * The cache is played by a copy: what was not flushed is not in the device's memory, and what was not
 * invalidated is old.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fake_kernel.h"
#include "systolith_mmio.h"

struct board {
    uint8_t *cache;  /* what the processor sees */
    uint8_t *memory; /* what the accelerator sees */
    unsigned idles;
};

static void flush(void *context, const void *bytes, size_t size)
{
    const struct board *board = context;
    memcpy(board->memory + ((const uint8_t *)bytes - board->cache), bytes, size);
}

static void invalidate(void *context, const void *bytes, size_t size)
{
    const struct board *board = context;
    size_t place = (size_t)((const uint8_t *)bytes - board->cache);
    memcpy(board->cache + place, board->memory + place, size);
}

static void idle(void *context)
{
    struct board *board = context;
    board->idles++;
}

/* Return a file's bytes, mapped and shared. */
static void *map(const char *path, size_t *size)
{
    struct stat status;
    int file = open(path, O_RDWR);
    void *bytes = MAP_FAILED;
    if (file >= 0 && fstat(file, &status) == 0) {
        *size = (size_t)status.st_size;
        bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (bytes == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    return bytes;
}

int main(int count, char **words)
{
    static struct systolith device;
    static struct systolith_mmio mmio;
    static struct board board;
    static struct systolith_counters counters[64];
    const struct systolith_settings settings = {0, UINT64_MAX, 100000, true, false};
    struct systolith_image image;
    struct systolith_tensor tensor;
    enum systolith_result result;
    size_t size = 0, values_size = 0, memory_size = 0;
    uint32_t failed = 0;
    void *bytes, *values, *output;
    uint64_t limit;
    FILE *file;

    if (count != 5)
        return 2;
    bytes = map(words[1], &size);
    values = map(words[2], &values_size);
    limit = strtoull(words[4], NULL, 0);
    board.memory = map(getenv("FAKE_MEMORY"), &memory_size);
    board.cache = malloc(memory_size);
    if (board.cache == NULL)
        return 2;
    memset(board.cache, 0xa5, memory_size);
    mmio.registers = fake_page();
    mmio.memory = board.cache;
    mmio.memory_size = memory_size;
    mmio.context = &board;
    mmio.flush = flush;
    mmio.invalidate = invalidate;
    mmio.idle = idle;
    systolith_mmio_init(&mmio);

    if ((result = systolith_image_open(&image, bytes, size)) != SYSTOLITH_OK || image.layers > 64 ||
        (result = systolith_open(&device, &mmio.bus, &settings)) != SYSTOLITH_OK ||
        (result = systolith_load(&device, &image)) != SYSTOLITH_OK ||
        (result = systolith_write_tensor(&device, image.input, values, values_size)) !=
            SYSTOLITH_OK) {
        printf("result %d\n", (int)result);
        return 1;
    }
    if (limit == 0)
        result = systolith_run(&device, counters, &failed);
    else
        result = systolith_run_layer(&device, 0, limit, counters);
    printf("result %d failed %u idles %u cycles %lu\n", (int)result, (unsigned)failed, board.idles,
           (unsigned long)counters[0].value[SYSTOLITH_COUNTER_CYCLES]);
    if (systolith_image_tensor(&image, image.output, &tensor) != SYSTOLITH_OK)
        return 1;
    output = malloc((size_t)tensor.values);
    if (output == NULL ||
        systolith_read_tensor(&device, image.output, output, (size_t)tensor.values) != SYSTOLITH_OK)
        return 1;
    file = fopen(words[3], "wb");
    if (file == NULL || fwrite(output, 1, (size_t)tensor.values, file) != tensor.values)
        return 1;
    fclose(file);
    free(output);
    free(board.cache);
    return result == SYSTOLITH_OK ? 0 : 1;
}
