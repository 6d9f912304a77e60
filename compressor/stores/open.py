"""Open the store that a URL names."""

from compressor.stores.contract import Store


def open_store(url: str, conditional_bytes: int = 64 << 20, probed: bool = False) -> Store:
    """Open s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///FOLDER, or a folder's path.

    conditional_bytes  largest object that is replaced by one conditional request, which may hold it in memory
    probed             `conditional_bytes` was probed by another process, or nothing will be written: don't probe
    """
    scheme, _, rest = url.partition("://")
    if not rest:
        from compressor.stores.files import Files

        return Files(url, conditional_bytes if probed else None)
    if scheme == "file":
        from urllib.parse import unquote

        from compressor.stores.files import Files

        return Files(unquote(rest), conditional_bytes if probed else None)
    if scheme == "s3":
        from compressor.stores.s3 import Bucket

        return Bucket(url, conditional_bytes, probed)
    from compressor.stores.obstores import ObstoreBucket

    return ObstoreBucket(url, conditional_bytes)
