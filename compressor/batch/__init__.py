"""Re-encoding whole buckets: safe, resumable, and nothing is left behind.

store     what a bucket or a folder can do; store_files, store_s3, store_objects do it
work      one object: read, compress, verify, replace; in any process
engines   processes that do it: local ones, or Dask's
ledger    what was done and what is about to be, on disk
run       leads the objects of a listing through the engine, and writes the ledger
restore   puts kept originals back
"""
