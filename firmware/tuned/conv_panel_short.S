/* conv_panel with less code: loops of two steps, not eight; the words of both pixels alternate. */
#define NAME conv_panel_short
#define NEXT 4
#define XSTEP 8
#define ONE_ROW 1
#define STEPS 2
#include "instances/conv_panel.S"
