"""The families of operators that move elements without computing them, and of tables."""
