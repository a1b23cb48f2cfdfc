"""What is measured of lines: equivalent widths, indices, velocities, anomalies."""
