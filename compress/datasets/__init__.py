"""Readers of published data sets: from the files of a folder to arrays, without features."""
