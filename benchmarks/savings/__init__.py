"""CPU time, energy and carbon per GB saved."""
