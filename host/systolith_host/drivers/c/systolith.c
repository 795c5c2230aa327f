/* Devices: identity, reset, programs, errors. */

#include "systolith.h"

/* The only function of a C library that the driver uses; declared here so that it also compiles
 * where there are no headers of one. */
void *memcpy(void *to, const void *from, size_t size);

#define PAGE_BYTES 4096u

/* Reads of STATUS within which a reset must have ended all transfers on the bus. */
#define RESET_POLLS 2000u

/* Reads of CYCLES without a change after which a busy accelerator counts as without a clock. */
#define STANDSTILL_POLLS 1000u

/* A layer may take this many times the cycles that the compiler expects, plus a cycle for each byte
 * that it moves, plus a margin. */
#define SLOWEST 20u
#define MARGIN_CYCLES 1000000u
#define LARGEST_ESTIMATE ((uint64_t)1 << 56)

/* After a callback has failed, or a write was lost, no other is called: the functions below look at
 * the outcome once, at their ends. */
static bool is_broken(const struct systolith *device)
{
    return device->bus_error != 0 || device->lost_register != 0;
}

static void begin(struct systolith *device)
{
    device->bus_error = 0;
    device->lost_register = 0;
}

static enum systolith_result outcome(const struct systolith *device)
{
    if (device->bus_error != 0)
        return SYSTOLITH_BUS_FAILED;
    return device->lost_register != 0 ? SYSTOLITH_LOST_WRITE : SYSTOLITH_OK;
}

static uint32_t read32(struct systolith *device, uint32_t offset)
{
    uint32_t value = 0;
    if (!is_broken(device))
        device->bus_error = device->bus->read_register(device->bus->context, offset, &value);
    return is_broken(device) ? 0 : value;
}

static uint64_t read64(struct systolith *device, uint32_t offset)
{
    uint64_t low = read32(device, offset);
    return low | (uint64_t)read32(device, offset + 4) << 32;
}

static void write32(struct systolith *device, uint32_t offset, uint32_t value)
{
    if (!is_broken(device))
        device->bus_error = device->bus->write_register(device->bus->context, offset, value);
}

/* Write a register that keeps its value, and see that it does: a link may lose a write, and a
 * program must not start with what was set before. */
static void set32(struct systolith *device, uint32_t offset, uint32_t value)
{
    write32(device, offset, value);
    if (read32(device, offset) != value && !is_broken(device))
        device->lost_register = offset;
}

static void set64(struct systolith *device, uint32_t offset, uint64_t value)
{
    set32(device, offset, (uint32_t)value);
    set32(device, offset + 4, (uint32_t)(value >> 32));
}

static void write_memory(struct systolith *device, uint64_t address, const void *data, size_t size)
{
    if (!is_broken(device))
        device->bus_error = device->bus->write_memory(device->bus->context, address, data, size);
}

/* Reset, and set the registers that programs share; false if the accelerator stays busy. */
static bool reset(struct systolith *device)
{
    bool idle = false;
    write32(device, SYSTOLITH_REG_CONTROL, SYSTOLITH_CONTROL_RESET);
    for (uint32_t i = 0; i < RESET_POLLS && !idle && !is_broken(device); i++)
        idle = (read32(device, SYSTOLITH_REG_STATUS) & SYSTOLITH_STATUS_BUSY) == 0;
    set64(device, SYSTOLITH_REG_WINDOW_BASE, device->settings.memory_base);
    set64(device, SYSTOLITH_REG_WINDOW_END, device->settings.memory_base + device->window_size);
    set32(device, SYSTOLITH_REG_WATCHDOG, device->settings.watchdog);
    write32(device, SYSTOLITH_REG_IRQ_PENDING, SYSTOLITH_IRQ_PENDING_END);
    set32(device, SYSTOLITH_REG_IRQ_ENABLE,
          device->settings.use_interrupt ? SYSTOLITH_IRQ_ENABLE_END : 0u);
    return idle;
}

enum systolith_result systolith_reset(struct systolith *device)
{
    bool idle;
    begin(device);
    idle = reset(device);
    if (is_broken(device))
        return outcome(device);
    return idle ? SYSTOLITH_OK : SYSTOLITH_STUCK;
}

enum systolith_result systolith_open(struct systolith *device, const struct systolith_bus *bus,
                                     const struct systolith_settings *settings)
{
    uint32_t identity, version;
    device->bus = bus;
    device->image = NULL;
    device->settings = *settings;
    device->window_size = 0;
    if (settings->memory_base % PAGE_BYTES != 0 ||
        (settings->use_interrupt && bus->wait_interrupt == NULL))
        return SYSTOLITH_BAD_ARGUMENT;
    begin(device);
    identity = read32(device, SYSTOLITH_REG_ID);
    version = read32(device, SYSTOLITH_REG_VERSION);
    device->fingerprint = read64(device, SYSTOLITH_REG_FINGERPRINT);
    if (is_broken(device))
        return outcome(device);
    if (identity != SYSTOLITH_IDENTITY)
        return SYSTOLITH_WRONG_DEVICE;
    if (version != SYSTOLITH_REGISTER_VERSION)
        return SYSTOLITH_WRONG_VERSION;
    return systolith_reset(device);
}

/* Add `base` to the address of an instruction, if it has one. */
static void move_instruction(uint8_t *code, uint64_t base)
{
    uint32_t opcode = code[0] & ((1u << SYSTOLITH_OPCODE_WIDTH) - 1);
    uint32_t low, width = SYSTOLITH_LOAD_ADDR_WIDTH;
    uint64_t word = 0, mask;

    if (opcode == SYSTOLITH_OPCODE_LOAD) {
        low = SYSTOLITH_LOAD_ADDR_LOW;
    } else if (opcode == SYSTOLITH_OPCODE_STORE) {
        low = SYSTOLITH_STORE_ADDR_LOW;
        width = SYSTOLITH_STORE_ADDR_WIDTH;
    } else {
        return;
    }
    /* The field and the bits next to it in its first and last byte: 7 bytes for 48 bits. */
    code += low / 8;
    low %= 8;
    for (uint32_t i = 0; 8 * i < low + width; i++)
        word |= (uint64_t)code[i] << 8 * i;
    mask = (((uint64_t)1 << width) - 1) << low;
    word = (word & ~mask) | (((word & mask) + (base << low)) & mask);
    for (uint32_t i = 0; 8 * i < low + width; i++)
        code[i] = (uint8_t)(word >> 8 * i);
}

/* Write a layer's instructions again, with their addresses moved. */
static void move_layer(struct systolith *device, const struct systolith_layer *layer)
{
    const struct systolith_image *image = device->image;
    uint64_t left = (uint64_t)layer->instruction_count * SYSTOLITH_INSTRUCTION_BYTES;
    uint64_t start = 0;
    const uint8_t *bytes = NULL;
    size_t size = 0;

    for (uint32_t i = 0; i < image->segments; i++) {
        if (systolith_image_segment(image, i, &start, &bytes, &size) == SYSTOLITH_OK &&
            layer->instruction_address >= start && layer->instruction_address - start <= size &&
            left <= size - (layer->instruction_address - start))
            break;
    }
    for (uint64_t at = layer->instruction_address; left != 0;) {
        size_t count = left < sizeof device->chunk ? (size_t)left : sizeof device->chunk;
        memcpy(device->chunk, bytes + (size_t)(at - start), count);
        for (size_t i = 0; i < count; i += SYSTOLITH_INSTRUCTION_BYTES)
            move_instruction(device->chunk + i, device->settings.memory_base);
        write_memory(device, at, device->chunk, count);
        at += count;
        left -= count;
    }
}

enum systolith_result systolith_load(struct systolith *device, const struct systolith_image *image)
{
    uint64_t base = device->settings.memory_base;
    enum systolith_result result;

    device->image = NULL;
    if (image->fingerprint != device->fingerprint)
        return SYSTOLITH_WRONG_CONFIGURATION;
    if (image->memory_size > device->settings.memory_size ||
        base > ((uint64_t)1 << image->addr_width) - image->memory_size)
        return SYSTOLITH_MEMORY_TOO_SMALL;
    if (!device->settings.unchecked && (result = systolith_image_check(image)) != SYSTOLITH_OK)
        return result;
    device->window_size = image->memory_size;
    if ((result = systolith_reset(device)) != SYSTOLITH_OK)
        return result;
    device->image = image;
    for (uint32_t i = 0; i < image->segments; i++) {
        uint64_t address;
        const uint8_t *bytes;
        size_t size;
        if (systolith_image_segment(image, i, &address, &bytes, &size) == SYSTOLITH_OK)
            write_memory(device, address, bytes, size);
    }
    for (uint32_t i = 0; base != 0 && i < image->layers; i++) {
        struct systolith_layer layer;
        if (systolith_image_layer(image, i, &layer) == SYSTOLITH_OK)
            move_layer(device, &layer);
    }
    if (is_broken(device))
        device->image = NULL;
    return outcome(device);
}

/* Look at the registers until the program has ended, at most `limit` cycles by CYCLES. */
static bool poll(struct systolith *device, uint64_t limit)
{
    uint64_t before = 0;
    uint32_t still = 0;
    while (!is_broken(device)) {
        /* In this order: a program that ends in between is seen at the last look. */
        uint64_t cycles = read64(device, SYSTOLITH_REG_CYCLES);
        if ((read32(device, SYSTOLITH_REG_IRQ_PENDING) & SYSTOLITH_IRQ_PENDING_END) != 0)
            return true;
        still = cycles == before ? still + 1 : 0;
        if (cycles >= limit || still >= STANDSTILL_POLLS)
            return false;
        before = cycles;
    }
    return false;
}

static void read_fault(struct systolith *device, uint32_t status)
{
    struct systolith_fault *fault = &device->fault;
    fault->status = status;
    fault->code = read32(device, SYSTOLITH_REG_ERROR_CODE);
    fault->engine = read32(device, SYSTOLITH_REG_ERROR_ENGINE);
    fault->info = read64(device, SYSTOLITH_REG_ERROR_INFO);
    fault->engine_state = read32(device, SYSTOLITH_REG_ENGINE_STATE);
    fault->fetched = read32(device, SYSTOLITH_REG_FETCHED);
    fault->loaded = read32(device, SYSTOLITH_REG_LOADED);
    fault->computed = read32(device, SYSTOLITH_REG_COMPUTED);
    fault->drained = read32(device, SYSTOLITH_REG_DRAINED);
    fault->stored = read32(device, SYSTOLITH_REG_STORED);
}

enum systolith_result systolith_run_program(struct systolith *device, uint64_t address,
                                            uint32_t count, uint64_t limit,
                                            struct systolith_counters *counters)
{
    bool ended = false;
    uint32_t status;

    begin(device);
    set64(device, SYSTOLITH_REG_PROGRAM_ADDR, device->settings.memory_base + address);
    set32(device, SYSTOLITH_REG_PROGRAM_COUNT, count);
    write32(device, SYSTOLITH_REG_IRQ_PENDING, SYSTOLITH_IRQ_PENDING_END);
    write32(device, SYSTOLITH_REG_CONTROL, SYSTOLITH_CONTROL_START);
    if (is_broken(device))
        return outcome(device);
    if (device->settings.use_interrupt)
        device->bus_error = device->bus->wait_interrupt(device->bus->context, limit, &ended);
    else
        ended = poll(device, limit);
    status = read32(device, SYSTOLITH_REG_STATUS);
    if (is_broken(device))
        return outcome(device);
    if (ended && status == SYSTOLITH_STATUS_DONE) {
        write32(device, SYSTOLITH_REG_IRQ_PENDING, SYSTOLITH_IRQ_PENDING_END);
        for (uint32_t i = 0; counters != NULL && i < SYSTOLITH_COUNTERS; i++)
            counters->value[i] = read64(device, SYSTOLITH_FIRST_COUNTER + 8 * i);
        return outcome(device);
    }
    read_fault(device, status);
    device->fault.stuck = !reset(device);
    if (is_broken(device))
        return outcome(device);
    if ((status & SYSTOLITH_STATUS_ERROR) != 0)
        return SYSTOLITH_FAULT;
    return ended ? SYSTOLITH_UNFINISHED : SYSTOLITH_TIMEOUT;
}

enum systolith_result systolith_run_layer(struct systolith *device, uint32_t number, uint64_t limit,
                                          struct systolith_counters *counters)
{
    struct systolith_layer layer;
    if (device->image == NULL ||
        systolith_image_layer(device->image, number, &layer) != SYSTOLITH_OK)
        return SYSTOLITH_BAD_ARGUMENT;
    if (limit == 0) {
        limit = layer.predicted_cycles < LARGEST_ESTIMATE ? layer.predicted_cycles : LARGEST_ESTIMATE;
        limit += layer.compulsory_bytes < LARGEST_ESTIMATE ? layer.compulsory_bytes : LARGEST_ESTIMATE;
        limit = SLOWEST * (limit + MARGIN_CYCLES);
    }
    return systolith_run_program(device, layer.instruction_address, layer.instruction_count, limit,
                                 counters);
}

enum systolith_result systolith_run(struct systolith *device, struct systolith_counters *counters,
                                    uint32_t *failed)
{
    uint32_t layers = device->image == NULL ? 0 : device->image->layers;
    enum systolith_result result = layers == 0 ? SYSTOLITH_BAD_ARGUMENT : SYSTOLITH_OK;
    for (*failed = 0; *failed < layers; ++*failed) {
        result = systolith_run_layer(device, *failed, 0, counters == NULL ? NULL : counters + *failed);
        if (result != SYSTOLITH_OK)
            break;
    }
    return result;
}
