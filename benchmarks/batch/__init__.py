"""Whole runs of `compressor batch`, on folders, S3 and a Dask cluster."""
