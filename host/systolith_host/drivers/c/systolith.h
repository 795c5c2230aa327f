/* The driver of a Systolith accelerator: loads program images, runs layers, moves tensors.
 *
 * C99 without a library but memcpy; nothing is allocated, and no function keeps the processor
 * longer than its limit. All state is in the structs that the caller provides.
 */

#ifndef SYSTOLITH_H
#define SYSTOLITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "systolith_spec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum systolith_result {
    SYSTOLITH_OK = 0,
    SYSTOLITH_BUS_FAILED,          /* a callback failed; device->bus_error is what it returned */
    SYSTOLITH_WRONG_DEVICE,        /* register ID is not an accelerator's */
    SYSTOLITH_WRONG_VERSION,       /* device or image is of another register version */
    SYSTOLITH_WRONG_CONFIGURATION, /* the image is for an accelerator of another configuration */
    SYSTOLITH_LOST_WRITE,          /* register device->lost_register does not hold what was written */
    SYSTOLITH_STUCK,               /* busy after a reset */
    SYSTOLITH_FAULT,               /* the accelerator reports an error: see device->fault */
    SYSTOLITH_TIMEOUT,             /* no end within the limit: see device->fault */
    SYSTOLITH_UNFINISHED,          /* an interrupt, but no end: see device->fault */
    SYSTOLITH_BAD_IMAGE,           /* not an image, or damaged */
    SYSTOLITH_MEMORY_TOO_SMALL,    /* the program needs more memory than the settings say */
    SYSTOLITH_BAD_ARGUMENT         /* no such layer or tensor, values of another size, no image */
};

/* How the driver reaches a device. Each callback returns 0, or a number of its own if it fails.
 * Register offsets are in bytes. Memory addresses are counted from the start of the program's
 * memory, wherever the accelerator sees that (systolith_settings.memory_base). */
struct systolith_bus {
    void *context; /* given to the callbacks */
    int (*read_register)(void *context, uint32_t offset, uint32_t *value);
    int (*write_register)(void *context, uint32_t offset, uint32_t value);
    int (*read_memory)(void *context, uint64_t address, void *data, size_t size);
    int (*write_memory)(void *context, uint64_t address, const void *data, size_t size);
    /* Wait until the interrupt is raised, at most `limit` cycles of the accelerator, and say
     * whether it is. May be NULL if the settings say that the interrupt is not used. */
    int (*wait_interrupt)(void *context, uint64_t limit, bool *raised);
};

/* A program image, which stays where it is: the bytes must outlive this struct. */
struct systolith_image {
    const uint8_t *bytes;
    const uint8_t *layer_table, *tensor_table, *segment_table, *input_table;
    const char *names;
    const char *network, *configuration;
    uint64_t size, memory_size, fingerprint;
    uint32_t batch, block, addr_width;
    uint32_t layers, tensors, segments, inputs, names_bytes;
    uint32_t input, output; /* numbers of the network's tensors */
};

struct systolith_layer {
    const char *name, *kind;
    uint64_t instruction_address;
    uint32_t instruction_count;
    uint32_t output; /* number of a tensor */
    uint32_t first_input, input_count;
    uint64_t macs, compulsory_bytes, bound_cycles, predicted_cycles;
};

/* A tensor of batch x channels x height x width bytes; in memory its channels stand in blocks of
 * `block`, or its pixels are packed in pixel_bytes each. */
struct systolith_tensor {
    const char *name;
    uint64_t address, size; /* in memory */
    uint32_t batch, channels, height, width;
    uint32_t pixel_bytes, block;
    uint64_t run_bytes;   /* of a row's pixels, without what may stand between them */
    uint64_t pixel_pitch; /* from pixel to pixel, 0 if they follow each other */
    uint64_t row_bytes, plane_bytes, image_bytes; /* from row to row, block to block, image to image */
    uint64_t values;                              /* batch x channels x height x width */
    bool is_unsigned;                             /* uint8 values, else int8 */
    uint8_t filler; /* in memory, of a block's channels beyond the tensor's */
    uint32_t parent; /* number of the tensor in which it stands, or SYSTOLITH_IMAGE_NO_TENSOR */
};

struct systolith_settings {
    uint64_t memory_base; /* where the accelerator sees the program's memory; a multiple of 4096 */
    uint64_t memory_size; /* bytes there */
    uint32_t watchdog;    /* cycles without progress that are an error; 0 for no limit */
    bool use_interrupt;   /* else IRQ_PENDING is polled, and CYCLES tells the time */
    bool unchecked;       /* load segments without a look at their checksums */
};

/* What the accelerator said before the reset that followed an error. */
struct systolith_fault {
    uint32_t status;
    uint32_t code, engine; /* SYSTOLITH_ERROR_..., SYSTOLITH_ENGINE_... */
    uint64_t info;         /* see docs: an instruction, an address, a buffer word */
    uint32_t engine_state; /* 4 bits per engine, SYSTOLITH_STATE_... */
    uint32_t fetched, loaded, computed, drained, stored;
    bool stuck; /* the reset did not end either */
};

struct systolith_counters {
    uint64_t value[SYSTOLITH_COUNTERS]; /* by SYSTOLITH_COUNTER_... */
};

struct systolith {
    const struct systolith_bus *bus;
    const struct systolith_image *image; /* the one that is loaded, or NULL */
    struct systolith_settings settings;
    struct systolith_fault fault;
    uint64_t fingerprint; /* of the device */
    uint64_t window_size; /* bytes that the accelerator may touch */
    int bus_error;
    uint32_t lost_register;
    uint8_t chunk[512]; /* on the way to and from memory */
};

/* Images (systolith_image.c). Every number in an image is checked by systolith_image_open; what a
 * damaged one says is never used as an address or an index. */
enum systolith_result systolith_image_open(struct systolith_image *image, const void *bytes,
                                           size_t size);
/* Whether the segments' bytes have their checksums. */
enum systolith_result systolith_image_check(const struct systolith_image *image);
enum systolith_result systolith_image_layer(const struct systolith_image *image, uint32_t number,
                                            struct systolith_layer *layer);
/* The number of the tensor that is a layer's input. */
enum systolith_result systolith_image_input(const struct systolith_image *image,
                                            const struct systolith_layer *layer, uint32_t number,
                                            uint32_t *tensor);
enum systolith_result systolith_image_tensor(const struct systolith_image *image, uint32_t number,
                                             struct systolith_tensor *tensor);
enum systolith_result systolith_image_segment(const struct systolith_image *image, uint32_t number,
                                              uint64_t *address, const uint8_t **bytes,
                                              size_t *size);

/* Devices (systolith.c). */

/* Check that this is an accelerator and reset it. */
enum systolith_result systolith_open(struct systolith *device, const struct systolith_bus *bus,
                                     const struct systolith_settings *settings);
/* Check that the image is for this device, and write its segments to memory; where memory_base is
 * not 0, with the addresses in their instructions moved. */
enum systolith_result systolith_load(struct systolith *device, const struct systolith_image *image);
/* Run a layer of the loaded image to its end. `limit` is in cycles, 0 for one far above what the
 * compiler expects. `counters` may be NULL. After an error the device has been reset, and the next
 * layer can run. */
enum systolith_result systolith_run_layer(struct systolith *device, uint32_t number, uint64_t limit,
                                          struct systolith_counters *counters);
/* Run all layers in their order; `counters` is an array of them, or NULL. `failed` becomes the
 * number of the layer at which an error ended the run, or the number of layers. */
enum systolith_result systolith_run(struct systolith *device, struct systolith_counters *counters,
                                    uint32_t *failed);
/* Run instructions that stand in memory, at an address counted from its start. */
enum systolith_result systolith_run_program(struct systolith *device, uint64_t address,
                                            uint32_t count, uint64_t limit,
                                            struct systolith_counters *counters);
/* End everything under way, and give the registers that programs share their values again. */
enum systolith_result systolith_reset(struct systolith *device);

/* Tensors (systolith_tensor.c). Values are bytes in the order image, channel, row, pixel; `size`
 * must be systolith_tensor.values. */
enum systolith_result systolith_write_tensor(struct systolith *device, uint32_t number,
                                             const void *values, size_t size);
enum systolith_result systolith_read_tensor(struct systolith *device, uint32_t number, void *values,
                                            size_t size);

/* Words for people (systolith_text.c): "?" where there are none. */
const char *systolith_result_text(enum systolith_result result);
const char *systolith_error_text(uint32_t code);
const char *systolith_engine_text(uint32_t engine);
const char *systolith_state_text(uint32_t engine, uint32_t state);
const char *systolith_counter_text(uint32_t counter);

#ifdef __cplusplus
}
#endif

#endif /* SYSTOLITH_H */
