"""The files of a run: its SQLite store, its folder, and tables in CSV or Parquet."""
