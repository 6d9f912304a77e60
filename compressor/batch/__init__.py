"""Compressing whole buckets: each object safely, and the run resumable.

api           entry points, from a request to a summary; `request` checks it, `tally` sums up
plan          the objects of a run: a listing in shards
run           passes objects to an engine, and keeps the ledger; `dry_run` writes nothing
engine_*      workers: local processes, or those of a Dask cluster
work          the work on one object, in a worker: read, compress, verify, write
originals     the place where originals are kept; `restore` puts them back
"""
