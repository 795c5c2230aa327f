/* Reads images from standard input, each after its length in 4 bytes, and says what is in them.
 *
 * Each is put into memory of just its size, opened, walked through and loaded into a device that
 * refuses to be written or read outside of the program's memory: with the address sanitizer, any
 * access that a damaged image could cause ends the process.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "systolith.h"

struct fake {
    uint32_t registers[SYSTOLITH_REGISTER_BYTES / 4];
    uint64_t memory_size;
    uint64_t written;
};

static int read_register(void *context, uint32_t offset, uint32_t *value)
{
    struct fake *fake = context;
    *value = fake->registers[offset / 4];
    return 0;
}

static int write_register(void *context, uint32_t offset, uint32_t value)
{
    struct fake *fake = context;
    if (offset != SYSTOLITH_REG_CONTROL && offset != SYSTOLITH_REG_IRQ_PENDING)
        fake->registers[offset / 4] = value;
    return 0;
}

static void check_range(const struct fake *fake, uint64_t address, size_t size)
{
    if (address > fake->memory_size || size > fake->memory_size - address) {
        fprintf(stderr, "an access of %zu bytes at %" PRIx64 "\n", size, address);
        abort();
    }
}

static int read_memory(void *context, uint64_t address, void *data, size_t size)
{
    check_range(context, address, size);
    memset(data, 0x5a, size);
    return 0;
}

static int write_memory(void *context, uint64_t address, const void *data, size_t size)
{
    struct fake *fake = context;
    const uint8_t *bytes = data;
    check_range(fake, address, size);
    for (size_t i = 0; i < size; i++)
        fake->written += bytes[i];
    return 0;
}

static void show(const struct systolith_image *image)
{
    printf("image network=%s configuration=%s memory_size=%" PRIu64 " fingerprint=%" PRIu64
           " batch=%" PRIu32 " block=%" PRIu32 " addr_width=%" PRIu32 " input=%" PRIu32
           " output=%" PRIu32 "\n",
           image->network, image->configuration, image->memory_size, image->fingerprint,
           image->batch, image->block, image->addr_width, image->input, image->output);
    for (uint32_t i = 0; i < image->layers; i++) {
        struct systolith_layer layer;
        if (systolith_image_layer(image, i, &layer) != SYSTOLITH_OK)
            abort();
        printf("layer name=%s kind=%s instruction_address=%" PRIu64 " instruction_count=%" PRIu32
               " output=%" PRIu32 " macs=%" PRIu64 " compulsory_bytes=%" PRIu64
               " bound_cycles=%" PRIu64 " predicted_cycles=%" PRIu64 " inputs=",
               layer.name, layer.kind, layer.instruction_address, layer.instruction_count,
               layer.output, layer.macs, layer.compulsory_bytes, layer.bound_cycles,
               layer.predicted_cycles);
        for (uint32_t j = 0; j < layer.input_count; j++) {
            uint32_t tensor = 0;
            if (systolith_image_input(image, &layer, j, &tensor) != SYSTOLITH_OK)
                abort();
            printf("%s%" PRIu32, j ? "," : "", tensor);
        }
        printf("\n");
    }
    for (uint32_t i = 0; i < image->tensors; i++) {
        struct systolith_tensor tensor;
        if (systolith_image_tensor(image, i, &tensor) != SYSTOLITH_OK)
            abort();
        printf("tensor tensor=%s address=%" PRIu64 " size=%" PRIu64 " batch=%" PRIu32
               " channels=%" PRIu32 " height=%" PRIu32 " width=%" PRIu32 " unsigned=%d"
               " pixel_bytes=%" PRIu32 " block=%" PRIu32 " row_bytes=%" PRIu64
               " plane_bytes=%" PRIu64 " image_bytes=%" PRIu64 " parent=%" PRIu32 "\n",
               tensor.name, tensor.address, tensor.size, tensor.batch, tensor.channels,
               tensor.height, tensor.width, (int)tensor.is_unsigned, tensor.pixel_bytes,
               tensor.block, tensor.row_bytes, tensor.plane_bytes, tensor.image_bytes,
               tensor.parent);
    }
    for (uint32_t i = 0; i < image->segments; i++) {
        uint64_t address;
        const uint8_t *bytes;
        size_t size;
        uint32_t sum = 0;
        if (systolith_image_segment(image, i, &address, &bytes, &size) != SYSTOLITH_OK)
            abort();
        for (size_t j = 0; j < size; j++)
            sum = sum * 31 + bytes[j];
        printf("segment address=%" PRIu64 " size=%zu sum=%" PRIu32 "\n", address, size, sum);
    }
}

/* Load the image, at another place than 0, and move its small tensors. */
static void use(const struct systolith_image *image, bool unchecked)
{
    static struct systolith device;
    static struct fake fake;
    static uint8_t values[1 << 16];
    const struct systolith_bus bus = {&fake,       read_register, write_register,
                                      read_memory, write_memory,  NULL};
    const struct systolith_settings settings = {0x10000, UINT64_MAX, 7, false, unchecked};
    enum systolith_result result;

    memset(&fake, 0, sizeof fake);
    fake.memory_size = image->memory_size;
    fake.registers[SYSTOLITH_REG_ID / 4] = SYSTOLITH_IDENTITY;
    fake.registers[SYSTOLITH_REG_VERSION / 4] = SYSTOLITH_REGISTER_VERSION;
    fake.registers[SYSTOLITH_REG_FINGERPRINT / 4] = (uint32_t)image->fingerprint;
    fake.registers[SYSTOLITH_REG_FINGERPRINT / 4 + 1] = (uint32_t)(image->fingerprint >> 32);
    result = systolith_open(&device, &bus, &settings);
    if (result != SYSTOLITH_OK)
        abort();
    result = systolith_load(&device, image);
    printf("loaded %d\n", (int)result);
    if (result != SYSTOLITH_OK)
        return;
    for (uint32_t i = 0; i < image->tensors; i++) {
        struct systolith_tensor tensor;
        if (systolith_image_tensor(image, i, &tensor) != SYSTOLITH_OK)
            abort();
        if (tensor.values > sizeof values)
            continue;
        if (systolith_write_tensor(&device, i, values, (size_t)tensor.values) != SYSTOLITH_OK ||
            systolith_read_tensor(&device, i, values, (size_t)tensor.values) != SYSTOLITH_OK)
            abort();
    }
}

int main(int count, char **words)
{
    bool unchecked = count > 1 && strcmp(words[1], "unchecked") == 0;
    uint8_t length[4];
    while (fread(length, 1, sizeof length, stdin) == sizeof length) {
        size_t size = (size_t)length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 |
                      (size_t)length[3] << 24;
        uint8_t *bytes = malloc(size ? size : 1);
        struct systolith_image image;
        enum systolith_result result;
        if (bytes == NULL || fread(bytes, 1, size, stdin) != size)
            return 2;
        result = systolith_image_open(&image, bytes, size);
        printf("opened %d\n", (int)result);
        if (result == SYSTOLITH_OK) {
            show(&image);
            use(&image, unchecked);
        }
        free(bytes);
    }
    return 0;
}
