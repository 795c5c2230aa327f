/* Words for people; leave this file out where there are none to read them. */

#include "systolith.h"

#define AS_CASE(number, text) \
    case number: \
        return text;

const char *systolith_result_text(enum systolith_result result)
{
    switch (result) {
    case SYSTOLITH_OK:
        return "all is right";
    case SYSTOLITH_BUS_FAILED:
        return "the bus failed";
    case SYSTOLITH_WRONG_DEVICE:
        return "this is not a Systolith accelerator";
    case SYSTOLITH_WRONG_VERSION:
        return "accelerator, driver and image are of different register versions";
    case SYSTOLITH_WRONG_CONFIGURATION:
        return "the image is for an accelerator of another configuration";
    case SYSTOLITH_LOST_WRITE:
        return "a register does not hold what was written";
    case SYSTOLITH_STUCK:
        return "the accelerator stays busy after a reset";
    case SYSTOLITH_FAULT:
        return "the accelerator reports an error";
    case SYSTOLITH_TIMEOUT:
        return "the program did not end within its limit";
    case SYSTOLITH_UNFINISHED:
        return "the interrupt came, but the program has not ended";
    case SYSTOLITH_BAD_IMAGE:
        return "this is not a program image, or it is damaged";
    case SYSTOLITH_MEMORY_TOO_SMALL:
        return "the program needs more memory than there is";
    case SYSTOLITH_BAD_ARGUMENT:
        return "no such layer or tensor, values of another size, or no image is loaded";
    }
    return "?";
}

const char *systolith_error_text(uint32_t code)
{
    switch (code) {
        SYSTOLITH_ERROR_NAMES(AS_CASE)
    }
    return "?";
}

const char *systolith_engine_text(uint32_t engine)
{
    switch (engine) {
        SYSTOLITH_ENGINE_NAMES(AS_CASE)
    }
    return "?";
}

const char *systolith_state_text(uint32_t engine, uint32_t state)
{
    switch (engine << 4 | state) {
        SYSTOLITH_STATE_NAMES(AS_CASE)
    }
    return "?";
}

const char *systolith_counter_text(uint32_t counter)
{
    switch (counter) {
        SYSTOLITH_COUNTER_NAMES(AS_CASE)
    }
    return "?";
}
