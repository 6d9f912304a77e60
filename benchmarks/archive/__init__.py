"""Archives of JPEGs by several libraries: bytes, whether each file comes back exactly, CPU time and memory."""
