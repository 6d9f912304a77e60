"""Structure-aware random mutations of files, and the contract that the results must meet."""
