/* Runs a program image on a simulated or real accelerator: an example of the driver's use.
 *
 *   run_image OPTIONS IMAGE INPUT OUTPUT
 *
 * INPUT holds the network's input tensor as bytes (image, channel, row, pixel), OUTPUT takes its
 * output. Each layer's counters are printed. Exit status: 0, 1 if the run failed, 2 for misuse.
 */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "systolith.h"
#include "systolith_socket.h"
#include "systolith_uio.h"

static const char usage[] =
    "usage: run_image [--socket PATH | --socket-file NUMBER | --uio DEVICE BUFFER MHZ]\n"
    "                 [--base ADDRESS] [--memory BYTES] [--watchdog CYCLES] [--limit CYCLES]\n"
    "                 [--poll] [--keep-going] IMAGE INPUT OUTPUT\n"
    "  --poll        look at the registers instead of waiting for the interrupt\n"
    "  --keep-going  run the next layer after one that failed\n";

static int misuse(const char *what)
{
    fprintf(stderr, "run_image: %s\n%s", what, usage);
    return 2;
}

/* Return a file's bytes, or NULL. */
static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    void *bytes = NULL;
    long length = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        length = ftell(file);
    if (length >= 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)length + 1);
    if (bytes != NULL && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    if (file != NULL)
        fclose(file);
    *size = length >= 0 ? (size_t)length : 0;
    return bytes;
}

static void print_counters(const char *layer, const struct systolith_counters *counters)
{
    printf("layer %s", layer);
    for (uint32_t i = 0; i < SYSTOLITH_COUNTERS; i++)
        printf(" %s=%" PRIu64, systolith_counter_text(i), counters->value[i]);
    printf("\n");
}

static void print_fault(const char *layer, const struct systolith *device,
                        enum systolith_result result)
{
    const struct systolith_fault *fault = &device->fault;
    printf("failed %s result=%d", layer, (int)result);
    if (result == SYSTOLITH_BUS_FAILED)
        printf(" bus_error=%d", device->bus_error);
    if (result == SYSTOLITH_LOST_WRITE)
        printf(" lost_register=0x%" PRIx32, device->lost_register);
    if (result == SYSTOLITH_FAULT || result == SYSTOLITH_TIMEOUT ||
        result == SYSTOLITH_UNFINISHED) {
        printf(" status=%" PRIu32 " code=%s engine=%s info=%" PRIu64 " stuck=%d", fault->status,
               systolith_error_text(fault->code), systolith_engine_text(fault->engine), fault->info,
               (int)fault->stuck);
        for (uint32_t engine = SYSTOLITH_ENGINE_LOAD; engine <= SYSTOLITH_ENGINE_STORE; engine++)
            printf(" %s=%s", systolith_engine_text(engine),
                   systolith_state_text(engine, fault->engine_state >> 4 * engine & 15));
        printf(" fetched=%" PRIu32 " loaded=%" PRIu32 " computed=%" PRIu32 " drained=%" PRIu32
               " stored=%" PRIu32,
               fault->fetched, fault->loaded, fault->computed, fault->drained, fault->stored);
    }
    printf(": %s\n", systolith_result_text(result));
}

/* Run all layers, after one that failed only to `keep_going`. */
static enum systolith_result run(struct systolith *device, uint64_t limit, bool keep_going)
{
    enum systolith_result worst = SYSTOLITH_OK;
    for (uint32_t i = 0; i < device->image->layers; i++) {
        struct systolith_layer layer;
        struct systolith_counters counters;
        enum systolith_result result = systolith_image_layer(device->image, i, &layer);
        if (result == SYSTOLITH_OK)
            result = systolith_run_layer(device, i, limit, &counters);
        if (result == SYSTOLITH_OK) {
            print_counters(layer.name, &counters);
            continue;
        }
        print_fault(layer.name, device, result);
        worst = result;
        if (!keep_going)
            break;
    }
    return worst;
}

/* Say what went wrong with a tensor, if anything did. */
static enum systolith_result tell(const struct systolith *device, const char *what,
                                  enum systolith_result result)
{
    if (result != SYSTOLITH_OK)
        print_fault(what, device, result);
    return result;
}

/* Write INPUT, run, and read OUTPUT. */
static enum systolith_result work(struct systolith *device, uint64_t limit, bool keep_going,
                                  const void *values, size_t size, void **output,
                                  size_t *output_size)
{
    const struct systolith_image *image = device->image;
    struct systolith_tensor tensor;
    enum systolith_result result, ran;
    result = tell(device, "(input)", systolith_write_tensor(device, image->input, values, size));
    if (result != SYSTOLITH_OK)
        return result;
    ran = run(device, limit, keep_going);
    result = tell(device, "(output)", systolith_image_tensor(image, image->output, &tensor));
    if (result != SYSTOLITH_OK)
        return result;
    *output_size = (size_t)tensor.values;
    *output = malloc(*output_size);
    if (*output == NULL)
        return SYSTOLITH_BAD_ARGUMENT;
    result = tell(device, "(output)",
                  systolith_read_tensor(device, image->output, *output, *output_size));
    return ran != SYSTOLITH_OK ? ran : result;
}

int main(int count, char **words)
{
    static struct systolith device;
    static struct systolith_socket link;
    static struct systolith_uio uio;
    struct systolith_settings settings = {0, UINT64_MAX, 100000, true, false};
    struct systolith_image image;
    const struct systolith_bus *bus = NULL;
    enum systolith_result result;
    uint64_t limit = 0;
    bool keep_going = false, has_uio = false;
    void *bytes, *values, *output = NULL;
    size_t size, values_size, output_size = 0;
    int word = 1;

    for (; word < count && strncmp(words[word], "--", 2) == 0; word++) {
        const char *option = words[word] + 2;
        int left = count - word - 1;
        if (strcmp(option, "poll") == 0) {
            settings.use_interrupt = false;
        } else if (strcmp(option, "keep-going") == 0) {
            keep_going = true;
        } else if (strcmp(option, "uio") == 0 && left >= 3) {
            if (systolith_uio_open(&uio, words[word + 1], words[word + 2], NULL,
                                   strtod(words[word + 3], NULL) * 1e6) != 0) {
                perror(words[word + 1]);
                return 1;
            }
            bus = &uio.mmio.bus;
            settings.memory_base = uio.memory_base;
            settings.memory_size = uio.mmio.memory_size;
            has_uio = true;
            word += 3;
        } else if (left < 1) {
            return misuse("an option has no value");
        } else if (strcmp(option, "socket") == 0) {
            if (systolith_socket_connect(&link, words[++word]) != 0) {
                perror(words[word]);
                return 1;
            }
            bus = &link.bus;
        } else if (strcmp(option, "socket-file") == 0) {
            systolith_socket_init(&link, atoi(words[++word]));
            bus = &link.bus;
        } else if (strcmp(option, "base") == 0) {
            settings.memory_base = strtoull(words[++word], NULL, 0);
        } else if (strcmp(option, "memory") == 0) {
            settings.memory_size = strtoull(words[++word], NULL, 0);
        } else if (strcmp(option, "watchdog") == 0) {
            settings.watchdog = (uint32_t)strtoull(words[++word], NULL, 0);
        } else if (strcmp(option, "limit") == 0) {
            limit = strtoull(words[++word], NULL, 0);
        } else {
            return misuse("an option is unknown");
        }
    }
    if (bus == NULL || count - word != 3)
        return misuse("name a device and three files");

    bytes = read_file(words[word], &size);
    values = read_file(words[word + 1], &values_size);
    if (bytes == NULL || values == NULL) {
        fprintf(stderr, "run_image: %s cannot be read\n", words[word + (bytes != NULL)]);
        return 2;
    }
    result = systolith_image_open(&image, bytes, size);
    if (result == SYSTOLITH_OK)
        result = systolith_open(&device, bus, &settings);
    if (result == SYSTOLITH_OK)
        result = systolith_load(&device, &image);
    if (result != SYSTOLITH_OK)
        print_fault("(program)", &device, result);
    else
        result = work(&device, limit, keep_going, values, values_size, &output, &output_size);
    if (output != NULL) {
        FILE *file = fopen(words[word + 2], "wb");
        if (file == NULL || fwrite(output, 1, output_size, file) != output_size ||
            fclose(file) != 0) {
            fprintf(stderr, "run_image: %s cannot be written\n", words[word + 2]);
            return 2;
        }
    }
    free(output);
    free(values);
    free(bytes);
    if (has_uio)
        systolith_uio_close(&uio);
    return result == SYSTOLITH_OK ? 0 : 1;
}
