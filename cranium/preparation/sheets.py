"""Pictures of slices with the truth as an outline: contact sheets, and a page for a patient."""

import base64
import html
import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cranium.errors import CraniumError
from cranium.preparation.collection import Collection, Item, read_image, read_mask
from cranium.slices import BACKGROUND, IGNORE_INDEX, MASKED, UNLABELLED

# The files carry no orientation; anatomy and the published figures agree with this.
CONVENTION = "Shown as stored, by radiological convention: the patient's right is on the left."

TILE = 320
_GAP = 8
_COLUMNS = 3
_OUTLINE = (255, 221, 0)
_TEXT = (240, 240, 240)
_GROUND = (24, 24, 24)


@dataclass(frozen=True)
class View:
    """A slice to be shown.

    Args:
        item (Item): The slice.
        image (np.ndarray): (height, width), uint8: the brain window, or the window that the tree
            was prepared with.
        bone (np.ndarray, optional): (height, width), uint8: the bone window, where there is one.
        mask (np.ndarray): (height, width), uint8: 0, 1 or ``IGNORE_INDEX``.
    """

    item: Item
    image: np.ndarray
    bone: np.ndarray | None
    mask: np.ndarray

    @property
    def caption(self) -> str:
        """Patient, slice and what is to be seen."""
        number = int(self.item.name.rpartition('_')[2])
        if self.item.label == UNLABELLED:
            what = 'unlabelled'
        elif self.item.label == MASKED:
            what = ' + '.join(self.item.types) or 'hemorrhage'
        else:
            what = 'no hemorrhage'
        return f'{self.item.patient} / {number}  {what}'


def choose(
    collection: Collection,
    *,
    number: int,
    seed: int = 0,
    patients: Sequence[str] = (),
    kind: str | None = None,
    pixels: tuple[int, int | None] | None = None,
    clean: bool = False,
) -> list[Item]:
    """Draw slices.

    Args:
        collection (Collection): What to draw from.
        number (int): At most how many.
        seed (int): The same seed draws the same. Defaults to 0.
        patients (Sequence[str]): Only of these patients; any where empty.
        kind (str, optional): Only slices with this type of hemorrhage.
        pixels (tuple[int, int | None], optional): Only slices whose hemorrhage has at least and
            at most so many pixels.
        clean (bool): Slices without hemorrhage in place of those with it. Defaults to False.

    Returns:
        list[Item]: By patient and slice.

    Raises:
        CraniumError: No slice is like this.
    """
    known = {item.patient for item in collection.items}
    for patient in patients:
        if patient not in known:
            msg = f'{collection.source}: no patient {patient}; it has {min(known)} to {max(known)}'
            raise CraniumError(msg)
    fitting = [
        item
        for item in collection.items
        if item.label == (BACKGROUND if clean else MASKED)
        and (not patients or item.patient in patients)
        and (kind is None or kind in item.types)
        and (pixels is None or _has_pixels(collection, item, *pixels))
    ]
    if not fitting:
        raise CraniumError(f'{collection.source}: no slice is like this; ask for less')
    drawn = random.Random(seed).sample(fitting, min(number, len(fitting)))
    return sorted(drawn, key=collection.items.index)


def _has_pixels(collection: Collection, item: Item, least: int, most: int | None) -> bool:
    if item.mask is None:
        return False
    mask = read_mask(collection.source, item, collection.mask_threshold, (1, 1))
    pixels = np.count_nonzero(mask == 1)
    return least <= pixels and (most is None or pixels <= most)


def load(collection: Collection, item: Item) -> View:
    """Read a slice's pixels."""
    image = read_image(collection.source, item.image)
    if item.bone is not None:
        bone = read_image(collection.source, item.bone)[..., 0]
    else:
        bone = image[..., 1] if image.shape[2] == 3 else None
    mask = read_mask(collection.source, item, collection.mask_threshold, image.shape[:2])
    return View(item, image[..., 0], bone, mask)


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the pixels around a region, not one of its own: nothing of it is hidden.

    Args:
        mask (np.ndarray): (height, width), bool.

    Returns:
        np.ndarray: (height, width), bool.
    """
    padded = np.pad(mask, 1)
    grown = mask.copy()
    for down in range(3):
        for right in range(3):
            grown |= padded[down : down + mask.shape[0], right : right + mask.shape[1]]
    return grown & ~mask


def contact_sheet(views: Sequence[View]) -> Image.Image:
    """Lay slices out, each with its truth outlined, its bone window beside and its caption.

    Args:
        views (Sequence[View]): What to show, row by row.

    Returns:
        Image.Image: RGB.
    """
    with_bone = any(view.bone is not None for view in views)
    width = TILE * 2 + 2 if with_bone else TILE
    columns = min(len(views), _COLUMNS if with_bone else 2 * _COLUMNS)
    rows = -(-len(views) // columns)
    footer = 26
    size = (columns * (width + _GAP) + _GAP, rows * (TILE + _GAP) + _GAP + footer)
    sheet = Image.new('RGB', size, _GROUND)
    for index, view in enumerate(views):
        row, column = divmod(index, columns)
        corner = (_GAP + column * (width + _GAP), _GAP + row * (TILE + _GAP))
        sheet.paste(_tile(view, width), corner)
    draw = ImageDraw.Draw(sheet)
    text = _fit(draw, [f'Outline: truth. {CONVENTION}', CONVENTION], size[0] - 2 * _GAP, 14)
    draw.text((_GAP, size[1] - footer + 2), text[0], fill=_TEXT, font=text[1])
    return sheet


def _tile(view: View, width: int) -> Image.Image:
    tile = Image.new('RGB', (width, TILE))
    image = Image.fromarray(view.image).resize((TILE, TILE), Image.Resampling.LANCZOS)
    pixels = np.asarray(image.convert('RGB')).copy()
    # Any share of a pixel counts, so that the smallest lesion keeps its outline.
    truth = Image.fromarray((view.mask == 1).astype(np.float32))
    pixels[outline(np.asarray(truth.resize((TILE, TILE), Image.Resampling.BOX)) > 0.3)] = _OUTLINE
    tile.paste(Image.fromarray(pixels), (0, 0))
    if view.bone is not None:
        bone = Image.fromarray(view.bone).resize((TILE, TILE), Image.Resampling.LANCZOS)
        tile.paste(bone, (TILE + 2, 0))
    draw = ImageDraw.Draw(tile)
    text, font = _fit(draw, [view.caption], width - 8, 14)
    draw.text((5, 3), text, fill=_TEXT, font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return tile


def _fit(draw: ImageDraw.ImageDraw, texts: Sequence[str], width: int, size: int) -> tuple:
    """Return the first text that fits, or the last in a smaller letter."""
    font = ImageFont.load_default(size)
    for text in texts:
        if draw.textlength(text, font=font) <= width:
            return text, font
    longest = draw.textlength(texts[-1], font=font)
    return texts[-1], ImageFont.load_default(max(7, size * width / longest))


def patient_page(views: Sequence[View]) -> str:
    """Make a page to scroll through a patient: one file, with no other needed.

    Args:
        views (Sequence[View]): The patient's slices in their order.

    Returns:
        str: HTML. Wheel, arrow keys and slider change the slice, ``o`` the outline.
    """
    slices = [
        {
            'caption': view.caption,
            'image': _data_url(Image.fromarray(view.image)),
            'outline': _data_url(_outline_layer(view.mask == 1)) if (view.mask == 1).any() else '',
            'bone': _data_url(Image.fromarray(view.bone)) if view.bone is not None else '',
            'bleeds': bool((view.mask == 1).any()),
            'unlabelled': bool((view.mask == IGNORE_INDEX).all()),
        }
        for view in views
    ]
    title = f'Patient {views[0].item.patient}'
    return (
        _PAGE.replace('{title}', html.escape(title))
        .replace('{convention}', html.escape(CONVENTION))
        .replace('{slices}', json.dumps(slices).replace('</', '<\\/'))
    )


def _outline_layer(mask: np.ndarray) -> Image.Image:
    layer = np.zeros((*mask.shape, 4), np.uint8)
    layer[outline(mask)] = (*_OUTLINE, 255)
    return Image.fromarray(layer).quantize(4)


def _data_url(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, 'PNG')
    return 'data:image/png;base64,' + base64.b64encode(file.getvalue()).decode()


_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body { margin: 0; background: #181818; color: #eee; font: 16px/1.5 sans-serif; }
  main { max-width: 1320px; margin: auto; padding: 1rem; }
  h1 { font-size: 1.2rem; margin: 0 0 .5rem; }
  #panes { display: flex; gap: 4px; }
  #panes div { position: relative; flex: 1; background: #000; }
  #panes img { display: block; width: 100%; }
  #outline { position: absolute; inset: 0; }
  input { width: 100%; margin: 0; }
  #ticks { display: flex; padding: 0 8px; }
  #ticks i { flex: 1; height: 6px; margin: 0 1px; background: #444; cursor: pointer; }
  #ticks .bleeds { background: #fd0; }
  #ticks .unlabelled { background: #a3f; }
  #ticks .here { outline: 2px solid #fff; }
  footer { color: #aaa; font-size: .85rem; }
</style>
<main>
  <h1>Patient <span id="caption"></span></h1>
  <div id="panes">
    <div><img id="image" alt="slice"><img id="outline" alt="outline of the truth"></div>
    <div id="right"><img id="bone" alt="bone window"></div>
  </div>
  <input type="range" min="0" value="0" aria-label="slice">
  <div id="ticks"></div>
  <footer>
    Wheel, arrow keys or slider: slice. Key o: outline of the truth (yellow ticks: slices with
    hemorrhage). {convention}
  </footer>
</main>
<script>
  const slices = {slices};
  const get = id => document.getElementById(id);
  const slider = document.querySelector('input');
  slider.max = slices.length - 1;
  slices.forEach((slice, index) => {
    const tick = get('ticks').appendChild(document.createElement('i'));
    if (slice.bleeds) tick.className = 'bleeds';
    if (slice.unlabelled) tick.className = 'unlabelled';
    tick.onclick = () => show(index);
  });
  let outlined = true;
  function show(index) {
    index = Math.max(0, Math.min(slices.length - 1, index));
    slider.value = index;
    const slice = slices[index];
    get('caption').textContent = slice.caption;
    get('image').src = slice.image;
    get('outline').hidden = !outlined || !slice.outline;
    if (slice.outline) get('outline').src = slice.outline;
    get('right').hidden = !slice.bone;
    if (slice.bone) get('bone').src = slice.bone;
    [...get('ticks').children].forEach((tick, i) => tick.classList.toggle('here', i === index));
  }
  slider.oninput = () => show(+slider.value);
  addEventListener('keydown', event => {
    const step = {ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1}[event.key];
    if (event.key === 'o') outlined = !outlined;
    else if (!step) return;
    event.preventDefault();
    show(+slider.value + (step || 0));
  });
  get('panes').addEventListener('wheel', event => {
    event.preventDefault();
    show(+slider.value + (event.deltaY < 0 ? 1 : -1));
  }, {passive: false});
  show(Math.max(0, slices.findIndex(slice => slice.bleeds)));
</script>
</html>
"""
