/* Runs all panels of a layer over pixels. */
#ifndef MVE_PIXELS_H
#define MVE_PIXELS_H

#include "tuned.h"

static inline void run_pairs(mve_panels_job *job, int32_t pixels)
{
    job->pairs = pixels / 2;
    if (job->pairs)
        mve_panels_2(job);
    if (pixels % 2)
        mve_panels_1(job);
}

/* A layer of less than four channels: outputs of a pixel that are not there are overwritten by those of the next ones,
 * three of which follow where there is one channel. */
static inline void run_part_of_panel(mve_panels_job *job, int32_t pixels)
{
    const int32_t following = job->channels == 1 ? 3 : 1;
    job->end = job->parameters + 12;
    const int32_t pairs = pixels > following ? (pixels - following) / 2 : 0;
    job->pairs = pairs;
    if (pairs)
        mve_panels_2(job);
    for (int32_t left = pixels - 2 * pairs; left > 0; left--) { /* none follows the last */
        int8_t *const out = job->out;
        int8_t few[4];
        job->out = few;
        mve_panels_1(job);
        for (int32_t i = 0; i < job->channels; i++)
            out[i] = few[i];
        job->out = out + job->channels;
        job->x += job->x_bytes;
    }
}

/* The pixels at `x`, x_bytes apart, to `out`; `job` has x_bytes, channels, steps and what is alike for all. The last
 * panel ends at the last channel: it may repeat some of the one before. */
static inline void run_pixels(mve_panels_job *job, const int8_t *weights, const int32_t *parameters, const int8_t *x,
                              int8_t *out, int32_t pixels)
{
    const int32_t whole = job->channels / 4;
    job->weights = weights;
    job->parameters = parameters;
    job->x = x;
    job->out = out;
    if (whole == 0) {
        run_part_of_panel(job, pixels);
        return;
    }
    job->end = parameters + 12 * whole;
    run_pairs(job, pixels);
    if (job->channels % 4) {
        job->weights = weights + 64 * job->steps * whole;
        job->parameters = job->end;
        job->end += 12;
        job->x = x;
        job->out = out + job->channels - 4;
        run_pairs(job, pixels);
    }
}

#endif
