"""CPU time and memory of starting: commands on one photograph, an idle server, and the size of an installation."""
