"""What differs by a task's type in training: losses, targets, shapes of outputs and labels."""
