"""JPEG to JPEG in process, from thumbnails to 12 megapixels, where fixed costs show."""
