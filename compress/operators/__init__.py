"""Operator families: for each operator its check, reference, TFLite import and export, bounds."""
