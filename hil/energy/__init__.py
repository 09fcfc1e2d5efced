"""Energy: power models of boards, calibration, power traces, and what this machine draws."""
