"""Folders and buckets behind one contract: conditions, attributes and errors are the same for all."""
