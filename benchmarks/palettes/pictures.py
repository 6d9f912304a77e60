"""Graphics for the comparison: those of a folder, and icons, charts, maps and gradients that are drawn here.

Everything is drawn at FINE times its size and reduced, so that edges are antialiased as those of a renderer. The same
version of Pillow gives the same pixels.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

FINE = 4
WORDS = ["Harbor", "Station", "Market", "Mill", "Bridge", "Quarry", "Abbey", "Orchard"]


def text(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font."""
    return ImageFont.load_default(size * FINE)


def reduced(image: Image.Image) -> Image.Image:
    """Return a picture at its size; alpha is premultiplied meanwhile."""
    size = image.width // FINE, image.height // FINE
    if image.mode != "RGBA":
        return image.resize(size, Image.Resampling.BOX)
    return image.convert("RGBa").resize(size, Image.Resampling.BOX).convert("RGBA")


def slope(width: int, height: int, first: tuple[int, ...], last: tuple[int, ...], angle: float = 1.0) -> Image.Image:
    """Return a linear gradient between two colors; an angle of 1 is downwards, of 0 to the right."""
    y, x = np.mgrid[0:height, 0:width]
    share = (angle * y / height + (1 - angle) * x / width)[..., None]
    samples = np.rint(np.array(first) * (1 - share) + np.array(last) * share).astype(np.uint8)
    return Image.fromarray(samples)


def icon(side: int, seed: int) -> Image.Image:
    """Return an application's icon: a rounded square with a gradient, a drawing, and a soft shadow; RGBA."""
    rng, wide = np.random.default_rng(seed), side * FINE
    base, other = (tuple(int(sample) for sample in rng.integers(30, 230, 3)) for _ in range(2))
    edge, radius = wide // 10, wide // 5
    shape = Image.new("L", (wide, wide), 0)
    ImageDraw.Draw(shape).rounded_rectangle((edge, edge, wide - edge, wide - edge), radius, fill=255)
    shadow = ImageChops.offset(shape.filter(ImageFilter.GaussianBlur(wide / 30)), 0, wide // 40)
    canvas = Image.new("RGBA", (wide, wide), (0, 0, 0, 0))
    canvas.putalpha(shadow.point(lambda value: value // 2))
    body = slope(wide, wide, (*base, 255), (*other, 255), 0.7)
    canvas = Image.composite(body, canvas, shape)
    draw = ImageDraw.Draw(canvas)
    middle = wide // 2
    draw.ellipse((middle - wide // 4, middle - wide // 4, middle + wide // 4, middle + wide // 4), fill=(*other, 255))
    points = [tuple(middle + rng.integers(-wide // 5, wide // 5, 2)) for _ in range(5)]
    draw.polygon([(int(x), int(y)) for x, y in points], fill=(255, 255, 255, 230))
    draw.text((middle, middle), WORDS[seed % 8][0], (*base, 255), text(side // 3), anchor="mm")
    return reduced(canvas)


def icons(count: int, side: int) -> Image.Image:
    """Return a sheet of icons, RGBA."""
    sheet = Image.new("RGBA", (count * side, count * side), (0, 0, 0, 0))
    for number in range(count * count):
        sheet.paste(icon(side, number), (number % count * side, number // count * side))
    return sheet


def chart(width: int, height: int, seed: int) -> Image.Image:
    """Return a chart: bars with gradients, lines, a translucent area, labels; RGB."""
    rng = np.random.default_rng(seed)
    wide, tall = width * FINE, height * FINE
    canvas = Image.new("RGB", (wide, tall), (252, 252, 250))
    draw = ImageDraw.Draw(canvas, "RGBA")
    bottom, left, right = tall - 60 * FINE, 80 * FINE, wide - 30 * FINE
    for line in range(6):
        y = bottom - line * (bottom - 50 * FINE) // 5
        draw.line((left, y, right, y), (222, 224, 228), FINE)
        draw.text((left - 10 * FINE, y), f"{line * 20}", (90, 96, 104), text(14), anchor="rm")
    step = (right - left) // 12
    for bar in range(12):
        top = int(bottom - rng.uniform(0.2, 0.9) * (bottom - 60 * FINE))
        fill = slope(step * 6 // 10, bottom - top, (90, 150, 220), (30, 80, 150))
        canvas.paste(fill, (left + bar * step + step // 5, top))
        draw.text(
            (left + bar * step + step // 2, bottom + 20 * FINE), WORDS[bar % 8][:3], (60, 64, 70), text(13), anchor="mm"
        )
    for color in ((220, 60, 50), (40, 160, 90), (240, 170, 30)):
        heights = np.cumsum(rng.normal(0, 0.06, 60)) + rng.uniform(0.35, 0.7)
        xs = np.linspace(left, right, 60)
        ys = bottom - np.clip(heights, 0.05, 0.95) * (bottom - 60 * FINE)
        points = [(int(x), int(y)) for x, y in zip(xs, ys, strict=True)]
        draw.polygon([(left, bottom), *points, (right, bottom)], fill=(*color, 36))
        draw.line(points, color, 3 * FINE, joint="curve")
    draw.text((left, 20 * FINE), "Arrivals by month, thousands", (30, 34, 40), text(20))
    return reduced(canvas)


def field(width: int, height: int, rng: np.random.Generator, periods: tuple[int, ...]) -> np.ndarray:
    """Return smooth random heights, (height, width) from 0 to 1."""
    total = np.zeros((height, width), np.float64)
    for period in periods:
        nodes = Image.fromarray(rng.normal(0, 1, (height // period + 3, width // period + 3)).astype(np.float32))
        total += period * np.asarray(nodes.resize((width, height), Image.Resampling.BICUBIC))
    scaled: np.ndarray = (total - total.min()) / (total.max() - total.min())
    return scaled


def city_map(width: int, height: int, seed: int) -> Image.Image:
    """Return a map: relief with shading in steps and smooth, water, roads with casings, labels; RGB."""
    rng = np.random.default_rng(seed)
    heights = field(width, height, rng, (160, 60, 25))
    gy, gx = np.gradient(heights * 120)
    shade = np.clip(1 + 0.35 * (gx - gy), 0.75, 1.15)[..., None]
    stops = np.array([(178, 208, 156), (206, 220, 164), (232, 224, 180), (214, 190, 150), (240, 236, 230)], float)
    land = np.stack([np.interp(heights, np.linspace(0.3, 1, 5), stops[:, c]) for c in range(3)], -1) * shade
    water = heights < 0.33
    land[water] = (150, 190, 220)
    base = Image.fromarray(land.clip(0, 255).astype(np.uint8)).resize(
        (width * FINE, height * FINE), Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(base)
    for road in range(14):
        ends = rng.uniform(0, 1, (4, 2)) * (width * FINE, height * FINE)
        share = np.linspace(0, 1, 40)[:, None]
        curve = (
            (1 - share) ** 3 * ends[0]
            + 3 * (1 - share) ** 2 * share * ends[1]
            + 3 * (1 - share) * share**2 * ends[2]
            + share**3 * ends[3]
        )
        points = [(int(x), int(y)) for x, y in curve]
        main = road % 4 == 0
        draw.line(points, (150, 120, 90), (7 if main else 4) * FINE, joint="curve")
        draw.line(points, (250, 214, 120) if main else (255, 255, 255), (5 if main else 2) * FINE, joint="curve")
    for number, word in enumerate(WORDS * 2):
        x, y = rng.uniform(0.05, 0.9, 2) * (width * FINE, height * FINE)
        draw.text(
            (int(x), int(y)),
            word,
            (40, 40, 50),
            text(12 + number % 3 * 4),
            stroke_width=2 * FINE,
            stroke_fill=(255, 255, 255),
        )
    return reduced(base)


def glow(width: int, height: int) -> Image.Image:
    """Return a gradient whose alpha falls from the middle to the edges; RGBA."""
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x - width / 2) / width, (y - height / 2) / height) * 2
    color = np.asarray(slope(width, height, (255, 120, 40), (60, 40, 200), 0.3)).astype(float)
    alpha = np.clip(1.15 - radius, 0, 1) ** 1.5 * 255
    return Image.fromarray(np.dstack([color, alpha]).round().astype(np.uint8))


def banner(width: int, height: int) -> Image.Image:
    """Return a web page's banner: a gradient, translucent circles, a title; RGB."""
    canvas = slope(width * FINE, height * FINE, (20, 40, 90), (200, 90, 140), 0.2)
    draw = ImageDraw.Draw(canvas, "RGBA")
    rng = np.random.default_rng(7)
    for _ in range(12):
        x, y, radius = rng.uniform(0, 1, 3) * (width * FINE, height * FINE, 90 * FINE)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (255, 255, 255, 26))
    draw.text(
        (width * FINE // 2, height * FINE // 2), "Open data, every day", (255, 255, 255), text(height // 5), anchor="mm"
    )
    return reduced(canvas)


def drawn() -> dict[str, Image.Image]:
    """Return the graphics that are drawn here, by name."""
    return {
        "icon": icon(256, 3),
        "icons": icons(6, 64),
        "icons, large": icons(3, 192),
        "chart": chart(960, 600, 1),
        "chart, small": chart(640, 400, 2),
        "map": city_map(800, 600, 1),
        "map, small": city_map(512, 384, 2),
        "gradient with alpha": glow(480, 360),
        "banner": banner(1200, 300),
    }


def encoded(image: Image.Image) -> bytes:
    """Return a picture as a PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def sources(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the PNG file of each picture: those of a folder, and those drawn here."""
    for path in sorted(folder.glob("*.png")) if folder is not None else ():
        yield path.stem, path.read_bytes()
    for name, image in drawn().items():
        yield name, encoded(image)
