/* Program images: their checks, and the numbers in them. */

#include "systolith.h"

/* No side of a tensor and no batch is larger, which keeps products of them within 64 bits. */
#define MOST_SIDE (1u << 24)
#define MOST_BATCH (1u << 16)
#define MOST_BLOCK 128u
#define MOST_ADDR_WIDTH 48u

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static uint64_t get64(const uint8_t *bytes)
{
    return (uint64_t)get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

/* CRC-32 of IEEE 802.3, four bits at a time: a table of 64 bytes instead of 1024. */
static uint32_t crc32(const uint8_t *bytes, uint64_t size)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
        0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
        0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = 0xffffffffu;
    for (uint64_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* The product, or false if it is above a limit; both are at most 2^48, `factor` at most 2^24. */
static bool product(uint64_t value, uint32_t factor, uint64_t limit, uint64_t *result)
{
    if ((value >> 24) * factor > limit >> 24)
        return false;
    *result = value * factor;
    return *result <= limit;
}

/* Whether `size` from `start` is inside of `whole`. */
static bool inside(uint64_t start, uint64_t size, uint64_t whole)
{
    return start <= whole && size <= whole - start;
}

static const uint8_t *layer_at(const struct systolith_image *image, uint32_t number)
{
    return image->layer_table + (size_t)number * SYSTOLITH_SIZEOF_LAYER;
}

static const uint8_t *tensor_at(const struct systolith_image *image, uint32_t number)
{
    return image->tensor_table + (size_t)number * SYSTOLITH_SIZEOF_TENSOR;
}

static const uint8_t *segment_at(const struct systolith_image *image, uint32_t number)
{
    return image->segment_table + (size_t)number * SYSTOLITH_SIZEOF_SEGMENT;
}

static bool is_name(const struct systolith_image *image, const uint8_t *offset)
{
    return get32(offset) < image->names_bytes;
}

static bool segment_is_right(const struct systolith_image *image, const uint8_t *segment)
{
    uint64_t size = get64(segment + SYSTOLITH_IMAGE_SEGMENT_SIZE);
    return inside(get64(segment + SYSTOLITH_IMAGE_SEGMENT_ADDRESS), size, image->memory_size) &&
           inside(get64(segment + SYSTOLITH_IMAGE_SEGMENT_OFFSET), size, image->size);
}

/* Fill in how far pixels, rows and blocks are apart, and an image's bytes from first to last; false
 * if they overlap, or reach beyond the memory. */
static bool spread(const struct systolith_image *image, const uint8_t *bytes,
                   struct systolith_tensor *tensor, uint32_t blocks, uint64_t *data_bytes)
{
    uint64_t most = image->memory_size;
    uint64_t row = get64(bytes + SYSTOLITH_IMAGE_TENSOR_ROW_PITCH);
    uint64_t plane = get64(bytes + SYSTOLITH_IMAGE_TENSOR_PLANE_PITCH);
    uint64_t pixels, rows, planes, run = tensor->run_bytes;

    tensor->pixel_pitch = get64(bytes + SYSTOLITH_IMAGE_TENSOR_PIXEL_PITCH);
    if (tensor->pixel_pitch) {
        if (tensor->pixel_bytes || tensor->pixel_pitch < image->block ||
            image->block > sizeof((struct systolith *)0)->chunk ||
            !product(tensor->pixel_pitch, tensor->width - 1, most, &pixels))
            return false;
        run = pixels + image->block;
    }
    if (run > most || (row && row < run) || row > most)
        return false;
    tensor->row_bytes = row ? row : tensor->run_bytes;
    if (!product(tensor->row_bytes, tensor->height - 1, most, &rows))
        return false;
    if (plane > most || (plane && plane < rows + run))
        return false;
    tensor->plane_bytes = plane;
    if (!plane && !product(tensor->row_bytes, tensor->height, most, &tensor->plane_bytes))
        return false;
    if (!product(tensor->plane_bytes, blocks - 1, most, &planes))
        return false;
    *data_bytes = planes + rows + run;
    return *data_bytes <= most;
}

/* Fill in a tensor; false if its numbers do not fit each other, or the memory. */
static bool read_tensor(const struct systolith_image *image, const uint8_t *bytes,
                        struct systolith_tensor *tensor)
{
    uint64_t most = image->memory_size;
    uint64_t pitch = get64(bytes + SYSTOLITH_IMAGE_TENSOR_IMAGE_PITCH);
    uint64_t data_bytes, gaps;
    uint32_t name = get32(bytes + SYSTOLITH_IMAGE_TENSOR_NAME);

    tensor->batch = image->batch;
    tensor->block = image->block;
    tensor->address = get64(bytes + SYSTOLITH_IMAGE_TENSOR_ADDRESS);
    tensor->size = get64(bytes + SYSTOLITH_IMAGE_TENSOR_SIZE);
    tensor->channels = get32(bytes + SYSTOLITH_IMAGE_TENSOR_CHANNELS);
    tensor->height = get32(bytes + SYSTOLITH_IMAGE_TENSOR_HEIGHT);
    tensor->width = get32(bytes + SYSTOLITH_IMAGE_TENSOR_WIDTH);
    tensor->pixel_bytes = get32(bytes + SYSTOLITH_IMAGE_TENSOR_PIXEL_BYTES);
    tensor->parent = get32(bytes + SYSTOLITH_IMAGE_TENSOR_PARENT);
    tensor->is_unsigned =
        (get32(bytes + SYSTOLITH_IMAGE_TENSOR_FLAGS) & SYSTOLITH_IMAGE_TENSOR_UNSIGNED) != 0;
    tensor->filler = (uint8_t)get32(bytes + SYSTOLITH_IMAGE_TENSOR_FILLER);
    if (name >= image->names_bytes || tensor->channels - 1 >= MOST_SIDE ||
        tensor->height - 1 >= MOST_SIDE || tensor->width - 1 >= MOST_SIDE)
        return false;
    if (tensor->parent != SYSTOLITH_IMAGE_NO_TENSOR && tensor->parent >= image->tensors)
        return false;
    tensor->name = image->names + name;

    uint32_t lanes = tensor->pixel_bytes ? tensor->pixel_bytes : image->block;
    uint32_t blocks = 1;
    if (tensor->pixel_bytes) {
        if (tensor->channels > lanes || lanes > image->block)
            return false;
        tensor->run_bytes = (uint64_t)tensor->width * lanes + image->block - 1;
        tensor->run_bytes -= (uint32_t)tensor->run_bytes % image->block;
    } else {
        blocks = (tensor->channels + lanes - 1) / lanes;
        tensor->run_bytes = (uint64_t)tensor->width * lanes;
    }
    if (!spread(image, bytes, tensor, blocks, &data_bytes))
        return false;
    tensor->image_bytes = pitch ? pitch : data_bytes;
    if (tensor->image_bytes < data_bytes || tensor->image_bytes > most ||
        !product(tensor->image_bytes, image->batch - 1, most, &gaps) ||
        tensor->size != gaps + data_bytes || !inside(tensor->address, tensor->size, most))
        return false;
    tensor->values =
        (uint64_t)tensor->channels * tensor->height * tensor->width * tensor->batch;
    return true;
}

static bool layer_is_right(const struct systolith_image *image, const uint8_t *layer)
{
    uint64_t address = get64(layer + SYSTOLITH_IMAGE_LAYER_INSTRUCTION_ADDRESS);
    uint64_t bytes =
        (uint64_t)get32(layer + SYSTOLITH_IMAGE_LAYER_INSTRUCTION_COUNT) * SYSTOLITH_INSTRUCTION_BYTES;
    if (!is_name(image, layer + SYSTOLITH_IMAGE_LAYER_NAME) ||
        !is_name(image, layer + SYSTOLITH_IMAGE_LAYER_KIND) ||
        get32(layer + SYSTOLITH_IMAGE_LAYER_OUTPUT) >= image->tensors ||
        !inside(get32(layer + SYSTOLITH_IMAGE_LAYER_FIRST_INPUT),
                get32(layer + SYSTOLITH_IMAGE_LAYER_INPUT_COUNT), image->inputs) ||
        bytes == 0 || address % SYSTOLITH_INSTRUCTION_BYTES != 0)
        return false;
    for (uint32_t i = 0; i < image->segments; i++) {
        const uint8_t *segment = segment_at(image, i);
        uint64_t start = get64(segment + SYSTOLITH_IMAGE_SEGMENT_ADDRESS);
        uint64_t size = get64(segment + SYSTOLITH_IMAGE_SEGMENT_SIZE);
        if (address >= start && inside(address - start, bytes, size))
            return true;
    }
    return false;
}

static bool tables_are_right(const struct systolith_image *image)
{
    struct systolith_tensor tensor;
    for (uint32_t i = 0; i < image->segments; i++)
        if (!segment_is_right(image, segment_at(image, i)))
            return false;
    for (uint32_t i = 0; i < image->tensors; i++)
        if (!read_tensor(image, tensor_at(image, i), &tensor))
            return false;
    for (uint32_t i = 0; i < image->inputs; i++)
        if (get32(image->input_table + (size_t)i * SYSTOLITH_IMAGE_INDEX_BYTES) >= image->tensors)
            return false;
    for (uint32_t i = 0; i < image->layers; i++)
        if (!layer_is_right(image, layer_at(image, i)))
            return false;
    return true;
}

enum systolith_result systolith_image_open(struct systolith_image *image, const void *bytes,
                                           size_t size)
{
    const uint8_t *head = bytes;
    const uint8_t *checked = head + SYSTOLITH_IMAGE_HEADER_REGISTER_VERSION;
    uint64_t end;

    if (size < SYSTOLITH_SIZEOF_HEADER ||
        get64(head + SYSTOLITH_IMAGE_HEADER_MAGIC) != SYSTOLITH_IMAGE_MAGIC ||
        get32(head + SYSTOLITH_IMAGE_HEADER_VERSION) != SYSTOLITH_IMAGE_VERSION)
        return SYSTOLITH_BAD_IMAGE;
    image->bytes = head;
    image->size = get64(head + SYSTOLITH_IMAGE_HEADER_IMAGE_BYTES);
    image->memory_size = get64(head + SYSTOLITH_IMAGE_HEADER_MEMORY_SIZE);
    image->fingerprint = get64(head + SYSTOLITH_IMAGE_HEADER_FINGERPRINT);
    image->addr_width = get32(head + SYSTOLITH_IMAGE_HEADER_ADDR_WIDTH);
    image->batch = get32(head + SYSTOLITH_IMAGE_HEADER_BATCH);
    image->block = get32(head + SYSTOLITH_IMAGE_HEADER_BLOCK);
    image->layers = get32(head + SYSTOLITH_IMAGE_HEADER_LAYERS);
    image->tensors = get32(head + SYSTOLITH_IMAGE_HEADER_TENSORS);
    image->segments = get32(head + SYSTOLITH_IMAGE_HEADER_SEGMENTS);
    image->inputs = get32(head + SYSTOLITH_IMAGE_HEADER_INPUTS);
    image->names_bytes = get32(head + SYSTOLITH_IMAGE_HEADER_NAMES_BYTES);
    image->input = get32(head + SYSTOLITH_IMAGE_HEADER_INPUT);
    image->output = get32(head + SYSTOLITH_IMAGE_HEADER_OUTPUT);

    end = SYSTOLITH_SIZEOF_HEADER + (uint64_t)image->layers * SYSTOLITH_SIZEOF_LAYER +
          (uint64_t)image->tensors * SYSTOLITH_SIZEOF_TENSOR +
          (uint64_t)image->segments * SYSTOLITH_SIZEOF_SEGMENT +
          (uint64_t)image->inputs * SYSTOLITH_IMAGE_INDEX_BYTES + image->names_bytes;
    if (image->size > size || end > image->size || image->names_bytes == 0 || image->layers == 0)
        return SYSTOLITH_BAD_IMAGE;
    image->layer_table = head + SYSTOLITH_SIZEOF_HEADER;
    image->tensor_table = image->layer_table + (size_t)image->layers * SYSTOLITH_SIZEOF_LAYER;
    image->segment_table = image->tensor_table + (size_t)image->tensors * SYSTOLITH_SIZEOF_TENSOR;
    image->input_table = image->segment_table + (size_t)image->segments * SYSTOLITH_SIZEOF_SEGMENT;
    image->names = (const char *)image->input_table +
                   (size_t)image->inputs * SYSTOLITH_IMAGE_INDEX_BYTES;
    if (crc32(checked, end - SYSTOLITH_IMAGE_HEADER_REGISTER_VERSION) !=
        get32(head + SYSTOLITH_IMAGE_HEADER_CHECKSUM))
        return SYSTOLITH_BAD_IMAGE;
    if (get32(head + SYSTOLITH_IMAGE_HEADER_REGISTER_VERSION) != SYSTOLITH_REGISTER_VERSION)
        return SYSTOLITH_WRONG_VERSION;
    if (image->names[image->names_bytes - 1] != '\0' || image->batch - 1 >= MOST_BATCH ||
        image->block - 1 >= MOST_BLOCK || image->addr_width > MOST_ADDR_WIDTH ||
        image->memory_size == 0 || image->memory_size > (uint64_t)1 << image->addr_width ||
        image->input >= image->tensors || image->output >= image->tensors ||
        !is_name(image, head + SYSTOLITH_IMAGE_HEADER_NETWORK) ||
        !is_name(image, head + SYSTOLITH_IMAGE_HEADER_CONFIGURATION) || !tables_are_right(image))
        return SYSTOLITH_BAD_IMAGE;
    image->network = image->names + get32(head + SYSTOLITH_IMAGE_HEADER_NETWORK);
    image->configuration = image->names + get32(head + SYSTOLITH_IMAGE_HEADER_CONFIGURATION);
    return SYSTOLITH_OK;
}

enum systolith_result systolith_image_check(const struct systolith_image *image)
{
    for (uint32_t i = 0; i < image->segments; i++) {
        const uint8_t *segment = segment_at(image, i);
        const uint8_t *bytes =
            image->bytes + (size_t)get64(segment + SYSTOLITH_IMAGE_SEGMENT_OFFSET);
        if (crc32(bytes, get64(segment + SYSTOLITH_IMAGE_SEGMENT_SIZE)) !=
            get32(segment + SYSTOLITH_IMAGE_SEGMENT_CHECKSUM))
            return SYSTOLITH_BAD_IMAGE;
    }
    return SYSTOLITH_OK;
}

enum systolith_result systolith_image_layer(const struct systolith_image *image, uint32_t number,
                                            struct systolith_layer *layer)
{
    const uint8_t *bytes;
    if (number >= image->layers)
        return SYSTOLITH_BAD_ARGUMENT;
    bytes = layer_at(image, number);
    layer->name = image->names + get32(bytes + SYSTOLITH_IMAGE_LAYER_NAME);
    layer->kind = image->names + get32(bytes + SYSTOLITH_IMAGE_LAYER_KIND);
    layer->instruction_address = get64(bytes + SYSTOLITH_IMAGE_LAYER_INSTRUCTION_ADDRESS);
    layer->instruction_count = get32(bytes + SYSTOLITH_IMAGE_LAYER_INSTRUCTION_COUNT);
    layer->output = get32(bytes + SYSTOLITH_IMAGE_LAYER_OUTPUT);
    layer->first_input = get32(bytes + SYSTOLITH_IMAGE_LAYER_FIRST_INPUT);
    layer->input_count = get32(bytes + SYSTOLITH_IMAGE_LAYER_INPUT_COUNT);
    layer->macs = get64(bytes + SYSTOLITH_IMAGE_LAYER_MACS);
    layer->compulsory_bytes = get64(bytes + SYSTOLITH_IMAGE_LAYER_COMPULSORY_BYTES);
    layer->bound_cycles = get64(bytes + SYSTOLITH_IMAGE_LAYER_BOUND_CYCLES);
    layer->predicted_cycles = get64(bytes + SYSTOLITH_IMAGE_LAYER_PREDICTED_CYCLES);
    return SYSTOLITH_OK;
}

enum systolith_result systolith_image_input(const struct systolith_image *image,
                                            const struct systolith_layer *layer, uint32_t number,
                                            uint32_t *tensor)
{
    if (number >= layer->input_count)
        return SYSTOLITH_BAD_ARGUMENT;
    *tensor = get32(image->input_table +
                    ((size_t)layer->first_input + number) * SYSTOLITH_IMAGE_INDEX_BYTES);
    return SYSTOLITH_OK;
}

enum systolith_result systolith_image_tensor(const struct systolith_image *image, uint32_t number,
                                             struct systolith_tensor *tensor)
{
    if (number >= image->tensors || !read_tensor(image, tensor_at(image, number), tensor))
        return SYSTOLITH_BAD_ARGUMENT;
    return SYSTOLITH_OK;
}

enum systolith_result systolith_image_segment(const struct systolith_image *image, uint32_t number,
                                              uint64_t *address, const uint8_t **bytes,
                                              size_t *size)
{
    const uint8_t *segment;
    if (number >= image->segments)
        return SYSTOLITH_BAD_ARGUMENT;
    segment = segment_at(image, number);
    *address = get64(segment + SYSTOLITH_IMAGE_SEGMENT_ADDRESS);
    *bytes = image->bytes + (size_t)get64(segment + SYSTOLITH_IMAGE_SEGMENT_OFFSET);
    *size = (size_t)get64(segment + SYSTOLITH_IMAGE_SEGMENT_SIZE);
    return SYSTOLITH_OK;
}
