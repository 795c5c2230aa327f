/* Bare metal: a back end for registers and memory in the processor's address space. */

#ifndef SYSTOLITH_MMIO_H
#define SYSTOLITH_MMIO_H

#include "systolith.h"

/* Access to a register, a volatile uint32_t; define them before this file is compiled where a
 * platform needs more than a load and a store. */
#ifndef SYSTOLITH_MMIO_READ
#define SYSTOLITH_MMIO_READ(place) (*(place))
#define SYSTOLITH_MMIO_WRITE(place, value) ((void)(*(place) = (value)))
#endif

struct systolith_mmio {
    struct systolith_bus bus; /* give &mmio.bus to systolith_open */
    volatile uint32_t *registers;
    uint8_t *memory; /* the program's memory, as the processor sees it */
    uint64_t memory_size;
    void *context; /* given to the hooks; each of them may be NULL */
    /* Make bytes that were written visible to the accelerator: clean the cache, then a barrier. */
    void (*flush)(void *context, const void *bytes, size_t size);
    /* Forget bytes that the cache holds, before they are read. */
    void (*invalidate)(void *context, const void *bytes, size_t size);
    /* Wait a moment for the interrupt (WFI, a semaphore with a time limit); it may return early. */
    void (*idle)(void *context);
};

/* What callbacks return. */
enum { SYSTOLITH_MMIO_BEYOND_MEMORY = 1 };

/* Fill in `bus` after the other members. */
void systolith_mmio_init(struct systolith_mmio *mmio);

#endif
