"""A FastAPI service that returns each uploaded image in fewer bytes.

    fastapi run examples/fastapi_upload.py
    curl --fail -F image=@photo.jpg 'http://localhost:8000/images?quality=80' -o smaller.jpg

FastAPI runs a function that is not `async` on a thread of its pool, so the event loop stays free. All requests share a
memory budget: one that does not fit waits, and is rejected after half a minute.
"""

from typing import Annotated

from fastapi import FastAPI, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse

import compressor

RESOURCES = compressor.Resources(memory_budget=512 << 20)
STATUS = {
    compressor.BusyError: 503,
    compressor.LimitError: 413,
    compressor.UnsupportedError: 415,
    compressor.CompressorError: 422,
}

app = FastAPI()


@app.post("/images")
def compress(image: UploadFile, quality: Annotated[int, Query(ge=1, le=100)] = 80) -> Response:
    """Return the image, smaller, in its own format. The upload is read in chunks; only the result is in memory."""
    result = compressor.compress(image.file, quality=quality, resources=RESOURCES)
    headers = {"X-Bytes-Saved": str(result.report.bytes_in - result.report.bytes_out)}
    return Response(result.data, media_type=f"image/{result.report.format}", headers=headers)


@app.exception_handler(compressor.CompressorError)
def refuse(request: Request, error: compressor.CompressorError) -> JSONResponse:
    """Return the error of an image that can't be compressed, or not now."""
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    headers = {"Retry-After": str(round(error.retry_after_seconds))} if isinstance(error, compressor.BusyError) else {}
    return JSONResponse({"detail": str(error)}, status, headers)
