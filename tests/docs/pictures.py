"""The pictures of the documentation: photographs of the corpus, or, without it, others of the same kinds.

Sizes and scores on the pages are those of the corpus. The others are photographs from scikit-image.
"""

import io
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import compressor
from tests.corpus import CORPUS

IS_CORPUS = CORPUS.is_dir()
PACKAGED = Path(skimage.__file__).parent / "data"
NAMES = ("motorcycle_left.png", "coffee.png", "chelsea.png", "astronaut.png")
LARGE = ("HTC_One", "Olympus_S760", "Pentax_Optio_330", "Sony_Ericsson_U10i")


@lru_cache
def packaged(number: int, width: int, height: int) -> Image.Image:
    """Return a photograph of scikit-image, repeated until it has this size."""
    with Image.open(PACKAGED / NAMES[number % len(NAMES)]) as image:
        pixels = np.asarray(image.convert("RGB"))
    rows, columns = -(-height // pixels.shape[0]), -(-width // pixels.shape[1])
    return Image.fromarray(np.tile(pixels, (rows, columns, 1))[:height, :width])


def as_jpeg(image: Image.Image, quality: int, subsampling: str = "4:2:0") -> bytes:
    """Return a JPEG with some metadata, as a camera writes it."""
    exif = Image.Exif()
    exif[0x010E] = "a photograph " * 200  # ImageDescription
    exif[0x0112] = 1  # Orientation
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, subsampling=subsampling, exif=exif)
    return out.getvalue()


def as_png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def as_gif(png: bytes) -> bytes:
    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").save(out, "GIF")
    return out.getvalue()


def small_already(image: Image.Image) -> bytes:
    """Return a JPEG that only its entropy code makes smaller, by less than 5 %."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=60, progressive=True, optimize=True)
    return out.getvalue()


def from_corpus(name: str, otherwise: Callable[[], bytes]) -> bytes:
    return (CORPUS / name).read_bytes() if IS_CORPUS else otherwise()


def photo() -> bytes:
    """Return photo.jpg, of 4 megapixels, in 4:2:2 and of the highest quality."""
    return from_corpus("camera/Canon_EOS_350D.jpg", lambda: as_jpeg(packaged(0, 2496, 1664), 100, "4:2:2"))


def scan() -> bytes:
    """Return scan.png, a small photograph."""
    return from_corpus("kodak/kodim03.png", lambda: as_png(packaged(1, 768, 512)))


def chart() -> bytes:
    """Return chart.png, a small picture of many more than 64 colors."""
    return from_corpus("graphics/gh-FG-select-unknown.png", lambda: as_png(packaged(1, 420, 200)))


def small_photo(number: int) -> bytes:
    """Return a JPEG of 0.4 megapixels."""
    if IS_CORPUS:
        with Image.open(CORPUS / "kodak" / f"kodim{number + 1:02}.png") as found:
            return as_jpeg(found.convert("RGB"), 95)
    return as_jpeg(packaged(number, 768, 512), 95)


def photos() -> dict[str, bytes]:
    """Return the files of the folder photos: photographs, what can't be made smaller, no image, and a broken one."""
    if IS_CORPUS:
        files = {f"{name}.jpg": (CORPUS / "camera" / f"{name}.jpg").read_bytes() for name in (*LARGE, "Landscape_6")}
        files["kitty.png"] = (CORPUS / "graphics" / "kitty.png").read_bytes()
    else:
        files = {f"{name}.jpg": as_jpeg(packaged(number, 1200, 900), 97) for number, name in enumerate(LARGE)}
        files["Landscape_6.jpg"] = small_already(packaged(2, 1200, 800))
        files["kitty.png"] = compressor.compress(as_png(packaged(2, 64, 64)), effort="best").data
    return files | {"logo.gif": as_gif(files["kitty.png"]), "notes.txt": b"hi\n", "broken.jpg": photo()[:20_000]}


def album() -> dict[str, bytes]:
    """Return the files of the folder album: photographs that lose more or less at the same quality."""
    names = ("HTC_One", "Landscape_6", "Minolta_DiMAGE_S304", "Pentax_Optio_330", "Sony_Ericsson_U10i")
    if IS_CORPUS:
        return {f"{name}.jpg": (CORPUS / "camera" / f"{name}.jpg").read_bytes() for name in names}
    files = photos()
    files["Minolta_DiMAGE_S304.jpg"] = files["Olympus_S760.jpg"]
    return {f"{name}.jpg": files[f"{name}.jpg"] for name in names}


def pictures() -> dict[str, bytes]:
    """Return the files of the folder pictures, small ones, of which two would become lake.webp."""
    names = ("beach.jpg", "harbor.jpg", "lake.jpg")
    files = {name: small_photo(number + 1) for number, name in enumerate(names)}
    meadow = from_corpus("kodak/kodim23.png", lambda: as_png(packaged(2, 768, 512)))
    return files | {"lake.png": scan(), "meadow.png": meadow}


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Make a folder with these files, and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
