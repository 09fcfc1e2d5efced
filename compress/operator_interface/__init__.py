"""The interface of an operator family, and what several families share."""
