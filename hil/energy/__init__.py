"""Energy: power figures of boards, calibration, power traces, and this machine's energy meter."""
