#include "flash.h"

#include <stdlib.h>

enum { MOST_LINES = 4096 };

static bool cache_open(struct cache *cache, uint32_t lines, uint64_t flash_lines)
{
    cache->lines = lines;
    cache->place = calloc(flash_lines, sizeof *cache->place);
    cache->line = calloc(lines + 1u, sizeof *cache->line);
    cache->used = calloc(lines + 1u, sizeof *cache->used);
    return cache->place && cache->line && cache->used;
}

bool flash_open(struct flash *flash, uint32_t instruction_lines, uint32_t data_lines)
{
    if (flash->line_bytes == 0 || flash->length_bytes < flash->line_bytes ||
        instruction_lines > MOST_LINES ||
        data_lines > MOST_LINES)
        return false;
    uint64_t lines = flash->length_bytes / flash->line_bytes + 1;
    return cache_open(&flash->instructions, instruction_lines, lines) &&
           cache_open(&flash->data, data_lines, lines);
}

static uint32_t oldest_place(const struct cache *cache)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < cache->lines; i++)
        if (cache->used[i] < cache->used[oldest])
            oldest = i;
    return oldest;
}

/* Whether the line was there; it is afterwards. */
static bool cache_hit(struct cache *cache, uint32_t line)
{
    cache->clock++;
    if (cache->lines == 0)
        return false;
    bool hit = cache->place[line] != 0;
    uint32_t place;
    if (hit) {
        place = cache->place[line] - 1u;
    } else {
        bool full = cache->filled == cache->lines;
        place = full ? oldest_place(cache) : cache->filled++;
        if (full)
            cache->place[cache->line[place]] = 0;
        cache->place[line] = (uint16_t)(place + 1u);
        cache->line[place] = line;
    }
    cache->used[place] = cache->clock;
    return hit;
}

static bool contains(const struct flash *flash, uint64_t address)
{
    return address - flash->origin < flash->length_bytes; /* below: wraps to far above */
}

static uint32_t line_of(const struct flash *flash, uint64_t address)
{
    return (uint32_t)((address - flash->origin) / flash->line_bytes);
}

uint32_t flash_fetch(struct flash *flash, uint64_t first, uint64_t last)
{
    if (!contains(flash, first) || !contains(flash, last))
        return 0;
    uint32_t line = line_of(flash, first);
    bool there = cache_hit(&flash->instructions, line) || line == flash->next_line;
    while (line < line_of(flash, last))
        cache_hit(&flash->instructions, ++line);
    flash->next_line = line + 1;
    return there ? 0 : flash->wait_cycles;
}

uint32_t flash_read(struct flash *flash, uint64_t address)
{
    if (!contains(flash, address) || cache_hit(&flash->data, line_of(flash, address)))
        return 0;
    return flash->wait_cycles;
}
