"""A Django storage that compresses images when they are saved.

In the settings of the project:

    STORAGES = {
        "default": {"BACKEND": "images.storage.CompressedStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }

Names and formats stay as they are, so `ImageField` and its URLs need no change. Files that are no images are stored
unchanged. For a bucket, derive the class from a storage of django-storages instead.
"""

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

import compressor

SETTINGS = compressor.Settings(quality=80, metadata="color")  # no place and time of the photograph


class CompressedStorage(FileSystemStorage):
    """A folder whose images take fewer bytes than what was uploaded."""

    def _save(self, name: str, content: File) -> str:
        """Store the smaller image, or what is no image."""
        try:
            result = compressor.compress(content.chunks(), SETTINGS)
        except (compressor.FormatError, compressor.UnsupportedError):
            stored = content
        else:
            is_same_format = result.report.format == result.report.source_format
            stored = ContentFile(result.data) if is_same_format else content
        saved: str = super()._save(name, stored)
        return saved
