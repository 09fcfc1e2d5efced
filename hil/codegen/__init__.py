"""From the integer graph to an ELF: memory plan, C text, build, sizes and addresses."""
