"""Trials on many machines, through Dask."""
