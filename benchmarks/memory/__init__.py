"""Peak memory over the size of an image."""
