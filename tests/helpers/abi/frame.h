/* What trampoline.S keeps of a call, in bytes from the frame's start, and check.c reads. */
#ifndef FRAME_H
#define FRAME_H

#define F_SAVED 0    /* r4 to r11 of the caller */
#define F_LR 32
#define F_SP 36
#define F_FUNCTION 40
#define F_RESULT 44  /* r0 and r1 that the function returned */
#define F_DEEPEST 52 /* the lowest address of the stack that functions which it called have written */
#define F_AFTER 56   /* r4 to r11 when the function returned */
#define F_AFTER_SP 88
#define F_AFTER_FPSCR 92
#define F_SAVED_FP 96 /* s16 to s31 */
#define F_AFTER_FP 160
#define F_BYTES 224

#define PAINTED_BYTES 640
#define STACK_PATTERN 0x57AC57AC

#endif
