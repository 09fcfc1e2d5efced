"""What to try next: the engines, from random search to the adaptive one."""
