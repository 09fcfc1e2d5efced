"""Knowledge distillation: students, and what a teacher teaches them."""
