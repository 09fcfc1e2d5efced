/* void fc_panel4(const fc_panel_job *job): weights of four bits, see fc_panel.S. */
#define FOUR_BITS 1
#include "fc_panel.S"
