"""A Celery task that compresses a file, on as many workers as the queue needs.

    CELERY_BROKER_URL=redis://localhost celery --app examples.celery_task worker
    python -c 'from examples.celery_task import compress_file; compress_file.delay("photo.jpg", "smaller.jpg")'

A task may run twice, if a worker is killed. That is harmless: the same image and settings give the same bytes, and the
file appears under its name only when it is complete.
"""

from celery import Celery

import compressor

app = Celery("images")


@app.task(acks_late=True, autoretry_for=(compressor.BusyError, OSError), retry_backoff=True, max_retries=5)
def compress_file(source: str, target: str, settings: compressor.SettingsFields | None = None) -> dict[str, object]:
    """Compress the file `source` to `target`, and return what was done, as JSON.

    settings  fields of `compressor.Settings`
    """
    result = compressor.compress(source, **(settings or {}))
    result.save(target)
    report = result.report
    return {"outcome": report.outcome, "bytes_in": report.bytes_in, "bytes_out": report.bytes_out}
