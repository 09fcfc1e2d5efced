"""Reports of a run: terminal, report.html, plots, the exported network."""
