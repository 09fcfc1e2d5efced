/* fc_panel with weights of four bits, fc_panel4: see fc_panel.S. */
#define NAME fc_panel4
#define FOUR_BITS 1
#include "fc_panel.S"
