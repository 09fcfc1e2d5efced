"""What was found, kept: the SQLite store of a run, its folder, and tables in CSV or Parquet."""
