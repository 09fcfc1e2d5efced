"""Targets, which run images on real or emulated boards, and the serial link to the firmware."""
