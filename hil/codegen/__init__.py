"""From the integer graph to an ELF: memory plan, kernel choice, C text, build."""
