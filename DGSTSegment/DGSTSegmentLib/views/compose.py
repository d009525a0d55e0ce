"""Putting painted panels together: frame, marks of the patient's sides, scale bars, title and legend."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .panels import Layout, Panel, side_letter
from .picture import Picture

PAPER = (18, 20, 26)
FRAME = (44, 48, 58)
INK = (236, 238, 242)
SOFT = (205, 210, 220)
FAINT = (150, 156, 168)
MARK = (255, 255, 255)
SHADE = (0, 0, 0)
NICE_MM = (200, 100, 50, 20, 10, 5, 2, 1)
LARGEST_BAR = 0.28
TITLES = {"axial": "Axial", "coronal": "Coronal", "sagittal": "Sagittal", "3D": "3D"}
ACROSS = {"axial": 2, "coronal": 1, "sagittal": 0}


class Sheet:
    """Sizes that grow with the picture, so that a small picture is as legible as a large one."""

    def __init__(self, width: int):
        self.unit = max(width / 1600, 0.5)
        self.gap = round(10 * self.unit)
        self.header = round(64 * self.unit)
        self.footer = round(58 * self.unit)

    def font(self, points: float) -> ImageFont.FreeTypeFont:
        return font(max(round(points * self.unit), 9))


@lru_cache(maxsize=16)
def font(pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=pixels)


def compose(
    picture: Picture, layout: Layout, painted: dict[str, np.ndarray], focus: np.ndarray, painter: str
) -> Image.Image:
    """The finished picture.

    Args:
        painted: RGB uint8 (height, width, 3) by panel name.
        focus: world point (LPS mm) that the slices go through.
        painter: who painted the panels, for the footer.
    """
    sheet = Sheet(layout.size[0])
    image = Image.new("RGB", layout.size, PAPER)
    for panel in layout.panels:
        tile = Image.fromarray(painted[panel.name])
        label_panel(ImageDraw.Draw(tile), panel, focus, sheet)
        x, y = layout.corners[panel.name]
        image.paste(tile, (x, y))
        ImageDraw.Draw(image).rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=FRAME)
    draw = ImageDraw.Draw(image)
    write_header(draw, picture, layout, sheet)
    write_footer(draw, picture, layout, sheet, painter)
    return image


def write_header(draw: ImageDraw.ImageDraw, picture: Picture, layout: Layout, sheet: Sheet) -> None:
    middle = sheet.header / 2
    draw.text((sheet.gap * 1.6, middle), picture.title or "CT", INK, sheet.font(30), anchor="lm")
    width, level = picture.window
    text = f"CT window {width:g} / level {level:g} HU"
    draw.text((layout.size[0] - sheet.gap * 1.6, middle), text, FAINT, sheet.font(20), anchor="rm")


def write_footer(draw: ImageDraw.ImageDraw, picture: Picture, layout: Layout, sheet: Sheet, painter: str) -> None:
    x, middle = sheet.gap * 1.6, layout.size[1] - sheet.footer / 2
    letters = sheet.font(23)
    side = 22 * sheet.unit
    for overlay in picture.segmentations:
        box = (x, middle - side / 2, x + side * 1.5, middle + side / 2)
        tinted = tuple(round(0.45 * c + 0.55 * p) for c, p in zip(overlay.rgb, PAPER, strict=True))
        fill = tinted if overlay.style == "fill" else None
        draw.rounded_rectangle(box, 4 * sheet.unit, fill, overlay.rgb, max(round(3 * sheet.unit), 2))
        x = box[2] + 10 * sheet.unit
        draw.text((x, middle), overlay.legend, INK, letters, anchor="lm")
        x += draw.textlength(overlay.legend, letters) + 34 * sheet.unit
    draw.text((layout.size[0] - sheet.gap * 1.6, middle), painter, FAINT, sheet.font(18), anchor="rm")


def label_panel(draw: ImageDraw.ImageDraw, panel: Panel, focus: np.ndarray, sheet: Sheet) -> None:
    """Name and place of the slice, the patient's sides, ticks where the other slices cut, and a scale bar."""
    width, height = panel.size
    inset = 14 * sheet.unit
    written(draw, (inset, inset), TITLES[panel.name], INK, sheet.font(24), "la")
    indent = inset + draw.textlength(TITLES[panel.name] + "  ", sheet.font(24))
    written(draw, (indent, inset + 4 * sheet.unit), place(panel, focus), SOFT, sheet.font(19), "la")
    if panel.name in ACROSS:
        draw_ticks(draw, panel, focus, sheet)
    at = {
        "left": ((inset, height / 2), "lm"),
        "right": ((width - inset, height / 2), "rm"),
        "top": ((width / 2, inset), "ma"),
        "bottom": ((width / 2, height - inset), "md"),
    }
    for edge, letter in panel.marks.items():
        position, anchor = at[edge]
        written(draw, position, letter, MARK, sheet.font(26), anchor)
    draw_scale_bar(draw, panel, sheet)


def place(panel: Panel, focus: np.ndarray) -> str:
    """Where the slice lies, by the patient's side: ``S 42.5 mm``; where the 3D panel's viewer stands."""
    if panel.name not in ACROSS:
        return "from the front and the patient's left"
    axis = ACROSS[panel.name]
    letter = side_letter(np.eye(3)[axis] * (1 if focus[axis] >= 0 else -1))
    return f"{letter} {abs(focus[axis]):.1f} mm"


def draw_ticks(draw: ImageDraw.ImageDraw, panel: Panel, focus: np.ndarray, sheet: Sheet) -> None:
    x, y = panel.to_pixel(focus)
    width, height = panel.size
    tick, thick = 9 * sheet.unit, max(round(2 * sheet.unit), 1)
    if 0 <= x < width:
        draw.line((x, 0, x, tick), FAINT, thick)
        draw.line((x, height - tick, x, height), FAINT, thick)
    if 0 <= y < height:
        draw.line((0, y, tick, y), FAINT, thick)
        draw.line((width - tick, y, width, y), FAINT, thick)


def draw_scale_bar(draw: ImageDraw.ImageDraw, panel: Panel, sheet: Sheet) -> None:
    width, height = panel.size
    shown_mm = width * panel.mm_per_pixel
    length_mm = next((mm for mm in NICE_MM if mm <= LARGEST_BAR * shown_mm), NICE_MM[-1])
    length = length_mm / panel.mm_per_pixel
    x, y = 16 * sheet.unit, height - 16 * sheet.unit
    thick = max(round(4 * sheet.unit), 2)
    draw.rectangle((x - 1, y - thick - 1, x + length + 1, y + 1), SHADE)
    draw.rectangle((x, y - thick, x + length, y), INK)
    text = f"{length_mm // 10} cm" if length_mm >= 10 else f"{length_mm} mm"
    written(draw, (x, y - thick - 5 * sheet.unit), text, INK, sheet.font(19), "ld")


def written(draw: ImageDraw.ImageDraw, position, text: str, ink, letters: ImageFont.FreeTypeFont, anchor: str) -> None:
    """Text with a dark rim, legible over bright anatomy."""
    rim = max(round(letters.size / 8), 1)
    draw.text(position, text, ink, letters, anchor=anchor, stroke_width=rim, stroke_fill=SHADE)
