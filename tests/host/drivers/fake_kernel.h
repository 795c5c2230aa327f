/* Registers that are behind a link instead of in memory; see fake_kernel.c. */

#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdint.h>

/* A page of registers, as a processor without an operating system sees it. */
volatile uint32_t *fake_page(void);

uint32_t fake_read(volatile uint32_t *place);
void fake_write(volatile uint32_t *place, uint32_t value);

#define SYSTOLITH_MMIO_READ(place) fake_read(place)
#define SYSTOLITH_MMIO_WRITE(place, value) fake_write(place, value)

#endif
