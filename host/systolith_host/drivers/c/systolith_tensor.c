/* Tensors: from the order image, channel, row, pixel to the accelerator's layouts, and back. */

#include "systolith.h"

/* Where a piece of a row stands, and which values it holds. */
struct piece {
    const struct systolith_tensor *tensor;
    uint32_t image, first_channel, row;
    uint64_t at; /* bytes from the row's start, without what stands between its pixels */
};

/* Move the values of a piece of a row to the chunk, or from it. Bytes of memory that stand for no
 * value are the tensor's filler, beyond the last channel of its blocks, or 0, in a packed row. */
static void move_piece(const struct piece *piece, uint8_t *chunk, size_t size,
                       const uint8_t *source, uint8_t *target)
{
    const struct systolith_tensor *tensor = piece->tensor;
    uint32_t lanes = tensor->pixel_bytes ? tensor->pixel_bytes : tensor->block;
    uint32_t pixel = (uint32_t)piece->at / lanes;
    uint32_t lane = (uint32_t)piece->at % lanes;
    uint8_t flip = tensor->is_unsigned ? 0x80 : 0;
    uint8_t filler = tensor->pixel_bytes ? 0 : tensor->filler;

    for (size_t i = 0; i < size; i++) {
        uint32_t channel = piece->first_channel + lane;
        bool is_value = channel < tensor->channels && pixel < tensor->width;
        size_t plane = (size_t)piece->image * tensor->channels + channel;
        size_t value = (plane * tensor->height + piece->row) * tensor->width + pixel;
        if (target == NULL)
            chunk[i] = is_value ? (uint8_t)(source[value] ^ flip) : filler;
        else if (is_value)
            target[value] = chunk[i] ^ flip;
        if (++lane == lanes) {
            lane = 0;
            pixel++;
        }
    }
}

static int move_row(struct systolith *device, struct piece *piece, uint64_t address,
                    const uint8_t *source, uint8_t *target)
{
    const struct systolith_bus *bus = device->bus;
    const struct systolith_tensor *tensor = piece->tensor;
    uint64_t left = tensor->run_bytes;
    int error = 0;
    for (piece->at = 0; left != 0 && error == 0;) {
        size_t size = left < sizeof device->chunk ? (size_t)left : sizeof device->chunk;
        uint64_t place = address + piece->at;
        if (tensor->pixel_pitch) {
            size = tensor->block;
            place = address + (uint32_t)piece->at / tensor->block * tensor->pixel_pitch;
        }
        if (target != NULL)
            error = bus->read_memory(bus->context, place, device->chunk, size);
        if (error == 0)
            move_piece(piece, device->chunk, size, source, target);
        if (target == NULL)
            error = bus->write_memory(bus->context, place, device->chunk, size);
        piece->at += size;
        left -= size;
    }
    return error;
}

static enum systolith_result move_tensor(struct systolith *device, uint32_t number,
                                         const uint8_t *source, uint8_t *target, size_t size)
{
    struct systolith_tensor tensor;
    struct piece piece = {&tensor, 0, 0, 0, 0};
    if (device->image == NULL ||
        systolith_image_tensor(device->image, number, &tensor) != SYSTOLITH_OK ||
        tensor.values != size)
        return SYSTOLITH_BAD_ARGUMENT;
    for (; piece.image < tensor.batch; piece.image++) {
        uint64_t plane = tensor.address + piece.image * tensor.image_bytes;
        for (piece.first_channel = 0; piece.first_channel < tensor.channels;
             piece.first_channel += tensor.block) {
            for (piece.row = 0; piece.row < tensor.height; piece.row++) {
                uint64_t address = plane + piece.row * tensor.row_bytes;
                device->bus_error = move_row(device, &piece, address, source, target);
                if (device->bus_error != 0)
                    return SYSTOLITH_BUS_FAILED;
            }
            plane += tensor.plane_bytes;
        }
    }
    return SYSTOLITH_OK;
}

enum systolith_result systolith_write_tensor(struct systolith *device, uint32_t number,
                                             const void *values, size_t size)
{
    return move_tensor(device, number, values, NULL, size);
}

enum systolith_result systolith_read_tensor(struct systolith *device, uint32_t number, void *values,
                                            size_t size)
{
    return move_tensor(device, number, NULL, values, size);
}
