/* Bare metal: a back end for registers and memory in the processor's address space. */

#include "systolith_mmio.h"

void *memcpy(void *to, const void *from, size_t size);

/* Looks at the interrupt without a change of CYCLES after which the clock counts as stopped. */
#define STANDSTILL_LOOKS 1000u

static int read_register(void *context, uint32_t offset, uint32_t *value)
{
    const struct systolith_mmio *mmio = context;
    *value = SYSTOLITH_MMIO_READ(mmio->registers + offset / 4);
    return 0;
}

static int write_register(void *context, uint32_t offset, uint32_t value)
{
    const struct systolith_mmio *mmio = context;
    SYSTOLITH_MMIO_WRITE(mmio->registers + offset / 4, value);
    return 0;
}

static bool is_inside(const struct systolith_mmio *mmio, uint64_t address, size_t size)
{
    return address <= mmio->memory_size && size <= mmio->memory_size - address;
}

static int read_memory(void *context, uint64_t address, void *data, size_t size)
{
    const struct systolith_mmio *mmio = context;
    const uint8_t *bytes = mmio->memory + (size_t)address;
    if (!is_inside(mmio, address, size))
        return SYSTOLITH_MMIO_BEYOND_MEMORY;
    if (mmio->invalidate != NULL)
        mmio->invalidate(mmio->context, bytes, size);
    memcpy(data, bytes, size);
    return 0;
}

static int write_memory(void *context, uint64_t address, const void *data, size_t size)
{
    const struct systolith_mmio *mmio = context;
    uint8_t *bytes = mmio->memory + (size_t)address;
    if (!is_inside(mmio, address, size))
        return SYSTOLITH_MMIO_BEYOND_MEMORY;
    memcpy(bytes, data, size);
    if (mmio->flush != NULL)
        mmio->flush(mmio->context, bytes, size);
    return 0;
}

/* The interrupt's level is IRQ_PENDING; the handler needs to do no more than end `idle`. */
static int wait_interrupt(void *context, uint64_t limit, bool *raised)
{
    const struct systolith_mmio *mmio = context;
    uint64_t before = 0;
    uint32_t still = 0;
    for (;;) {
        uint32_t low, high, pending;
        uint64_t cycles;
        read_register(context, SYSTOLITH_REG_CYCLES, &low);
        read_register(context, SYSTOLITH_REG_CYCLES + 4, &high);
        read_register(context, SYSTOLITH_REG_IRQ_PENDING, &pending);
        cycles = (uint64_t)high << 32 | low;
        *raised = (pending & SYSTOLITH_IRQ_PENDING_END) != 0;
        still = cycles == before ? still + 1 : 0;
        if (*raised || cycles >= limit || still >= STANDSTILL_LOOKS)
            return 0;
        before = cycles;
        if (mmio->idle != NULL)
            mmio->idle(mmio->context);
    }
}

void systolith_mmio_init(struct systolith_mmio *mmio)
{
    const struct systolith_bus bus = {mmio,        read_register, write_register,
                                      read_memory, write_memory,  wait_interrupt};
    mmio->bus = bus;
}
