"""Open the store that a URL names."""

from compressor.stores.contract import Store
from compressor.stores.places import folder_path


def open_store(url: str, conditional_bytes: int = 64 << 20, probed: bool = False) -> Store:
    """Open s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///FOLDER, or a folder's path.

    conditional_bytes  largest object that is replaced by one conditional request, which may hold it in memory
    probed             `conditional_bytes` was probed by another process, or nothing will be written: don't probe
    """
    folder = folder_path(url)
    if folder is not None:
        from compressor.stores.files import Files

        return Files(folder, conditional_bytes if probed else None)
    if url.startswith("s3://"):
        from compressor.stores.s3 import Bucket

        return Bucket(url, conditional_bytes, probed)
    from compressor.stores.obstores import ObstoreBucket

    return ObstoreBucket(url, conditional_bytes)
