"""The farm: trials on many machines and boards, through Dask."""
