/* Linux: a back end over UIO (registers and interrupt) and u-dma-buf (memory). */

#ifndef SYSTOLITH_UIO_H
#define SYSTOLITH_UIO_H

#include "systolith_mmio.h"

struct systolith_uio {
    struct systolith_mmio mmio; /* give &uio.mmio.bus to systolith_open */
    uint64_t memory_base;       /* for the settings: where the accelerator sees the buffer */
    double clock_hz;            /* of the accelerator: turns limits into time */
    int file, memory_file;
};

/* What callbacks return, besides SYSTOLITH_MMIO_...: the wait for the interrupt failed. */
enum { SYSTOLITH_UIO_WAIT_FAILED = 2 };

/* Open a UIO device such as "/dev/uio0" and a buffer of u-dma-buf by its name, "udmabuf0". `sysfs`
 * is the folder of its facts, NULL for "/sys/class/u-dma-buf". 0, or -1 with errno. */
int systolith_uio_open(struct systolith_uio *uio, const char *device, const char *buffer,
                       const char *sysfs, double clock_hz);
void systolith_uio_close(struct systolith_uio *uio);

#endif
