/* Wait states of a flash memory behind an accelerator: two small caches and a prefetch buffer. */
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stdint.h>

/* Fully associative, the least recently used line is replaced. */
struct cache {
    uint32_t lines;
    uint32_t filled;
    uint64_t clock;
    uint16_t *place; /* by line of the flash: 1 + its place in the cache, or 0 */
    uint32_t *line;  /* by place */
    uint64_t *used;  /* by place */
};

struct flash {
    uint64_t origin;
    uint64_t length_bytes;
    uint32_t line_bytes;  /* what one read of the flash yields */
    uint32_t wait_cycles; /* what such a read costs beyond one cycle */
    struct cache instructions;
    struct cache data;
    uint32_t next_line;   /* what the prefetch buffer holds */
};

/* Memory for the caches. False if a parameter makes no sense or there is no memory. */
bool flash_open(struct flash *flash, uint32_t instruction_lines, uint32_t data_lines);

/* Wait cycles until the instructions in [first, last] are there. Only the first line is waited for:
 * those after it are prefetched while it is executed. */
uint32_t flash_fetch(struct flash *flash, uint64_t first, uint64_t last);

/* Wait cycles of a data read; 0 outside the flash. */
uint32_t flash_read(struct flash *flash, uint64_t address);

#endif
