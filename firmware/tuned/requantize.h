/* Double rounding, zero point and saturation of sums, for Armv7E-M assembly: see hil/tuned/requantize.py. */

/* v = (v - (v < 0) + constant + (v * factor) / 2^32), rounded; temporary may be the register of the constant. */
.macro scale_sum v, factor, constant, temporary
    add \temporary, \constant, \v, asr #31
    add \temporary, \temporary, \v
    smmlar \v, \v, \factor, \temporary
.endm

.macro narrow v, right_shift
    asr \v, \v, \right_shift
    ssat \v, #8, \v
.endm
