"""What was found, shown: terminal, report.html, plots, exported networks."""
