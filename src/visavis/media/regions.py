"""Names of people on photos as photo managers keep them: XMP regions inside a photo or in a sidecar beside it."""

from __future__ import annotations

import math
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped,unused-ignore]

from visavis.core.errors import InputError
from visavis.core.settings import settings
from visavis.media import decode, formats, paths
from visavis.media.write import write_bytes

Box = tuple[float, float, float, float]

_LARGEST = 5_000_000
_LONGEST = 200
_MOST = 1000
_PNG_KEY = "XML:com.adobe.xmp"
# What hostile or damaged XML raises: defusedxml's refusals are ValueErrors, depth ends in a RecursionError.
_DAMAGED = (ElementTree.ParseError, ValueError, LookupError, RecursionError)
# Prefix and address; those beyond the regions are here because a kept field would else be written as ns0:Rating.
_KNOWN = """
x adobe:ns:meta/  rdf http://www.w3.org/1999/02/22-rdf-syntax-ns#  dc http://purl.org/dc/elements/1.1/
mwg-rs http://www.metadataworkinggroup.com/schemas/regions/  stArea http://ns.adobe.com/xmp/sType/Area#
mwg-kw http://www.metadataworkinggroup.com/schemas/keywords/  stDim http://ns.adobe.com/xap/1.0/sType/Dimensions#
MP http://ns.microsoft.com/photo/1.2/  MPRI http://ns.microsoft.com/photo/1.2/t/RegionInfo#
MPReg http://ns.microsoft.com/photo/1.2/t/Region#  MicrosoftPhoto http://ns.microsoft.com/photo/1.0/
xmp http://ns.adobe.com/xap/1.0/  xmpMM http://ns.adobe.com/xap/1.0/mm/  lr http://ns.adobe.com/lightroom/1.0/
stEvt http://ns.adobe.com/xap/1.0/sType/ResourceEvent#  stRef http://ns.adobe.com/xap/1.0/sType/ResourceRef#
xmpRights http://ns.adobe.com/xap/1.0/rights/  crs http://ns.adobe.com/camera-raw-settings/1.0/
tiff http://ns.adobe.com/tiff/1.0/  exif http://ns.adobe.com/exif/1.0/  aux http://ns.adobe.com/exif/1.0/aux/
exifEX http://cipa.jp/exif/1.0/  photoshop http://ns.adobe.com/photoshop/1.0/  digiKam http://www.digikam.org/ns/1.0/
Iptc4xmpCore http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/  Iptc4xmpExt http://iptc.org/std/Iptc4xmpExt/2008-02-29/
darktable http://darktable.sf.net/  acdsee http://ns.acdsee.com/iptc/1.0/  GPano http://ns.google.com/photos/1.0/panorama/
mediapro http://ns.iview-multimedia.com/mediapro/1.0/  apple-fi http://ns.apple.com/faceinfo/1.0/
"""
_WORDS = _KNOWN.split()
_NAMESPACES = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
for _prefix, _uri in _NAMESPACES.items():
    ElementTree.register_namespace(_prefix, _uri)
_EMPTY = f'<x:xmpmeta xmlns:x="{_NAMESPACES["x"]}"><r:RDF xmlns:r="{_NAMESPACES["rdf"]}"/></x:xmpmeta>'.encode()


@dataclass(frozen=True)
class Region:
    """name: as written; box: x1, y1, x2, y2 as shares 0..1 of the upright photo."""

    name: str
    box: Box


def read_regions(path: str | os.PathLike[str]) -> list[Region]:
    """The faces with a name on a photo, from photo.jpg.xmp, else photo.xmp, else from within the photo.

    [] where there are none; XMP that is damaged, larger than 5 MB or holds a DTD counts as none, and so does a sidecar
    that is a link, a pipe or a device. At most 1000 faces. Raises InputError where the photo itself cannot be opened.
    """
    return _named(_Head(path))


def write_regions(photo: str | os.PathLike[str], regions: Sequence[Region], size: tuple[int, int]) -> Path:
    """Writes the faces to the sidecar photo.jpg.xmp and returns its path; the photo is never touched.

    size: width, height of the upright photo, in pixels. What the sidecar (photo.jpg.xmp, else photo.xmp) holds
    otherwise stays: all other fields, regions that are no faces, and other faces. A face of which at least half lies in
    one of `regions`, or the other way round, is the same face and is replaced. Named faces that read_regions finds
    elsewhere are taken along, as the new sidecar would hide them. Microsoft's regions are left as they are.

    Raises InputError where the photo or its sidecar cannot be read, and leaves the sidecar untouched.
    """
    head = _Head(photo)
    target = head.sidecars[0]
    base = next((path for path in head.sidecars if os.path.lexists(paths.openable(path))), None)
    cleaned = ((_name(region.name), _clip(region.box)) for region in regions)
    ours = [Region(name, box) for name, box in cleaned if name and box]
    try:
        root, _, node = _parse(_EMPTY if base is None else _sidecar(base))
        turn, kept, boxes = _turn(node, head), [], [region.box for region in ours]
        for item, kind, name, box in _mwg(node, turn):
            if kind != "Face" or box is None or not any(_same(box, region.box) for region in ours):
                kept.append(item)
                boxes += [box] if kind == "Face" and name and box else []
        ours += [region for region in _named(head) if not any(_same(region.box, box) for box in boxes)]
        # Regions share one AppliedToDimensions: those that stay decide which way up the new ones are written.
        turn = turn if kept else head.turn
        _fill(node, kept, ours, turn, head.stored[::-1] if turn != head.turn else size)
        data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    except _DAMAGED as error:
        raise InputError(f"{paths.shown(base or target)} is no XMP that can be read; it is left as it is.") from error
    write_bytes(target, data)
    return target


class _Head:
    """What a photo says before its pixels are decoded. stored: width, height before the orientation is applied."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        called, most = paths.shown(path), settings().max_pixels

        def check(head: bytes, size: int) -> None:
            if formats.recognise(head) is None:
                raise InputError(f"{called} is not a photo: it is no {formats.NAMES} file.")
            if size > 8 * most + 64 * 2**20:
                raise InputError(f"{called} is larger than a photo within VISAVIS_MAX_PIXELS can be.")

        data = paths.read_file(path, check)
        format = formats.recognise(data[: paths.HEAD]) or ""
        with decode.quiet():
            try:
                self._image = formats.open_image(data, format)
                self.stored = self._image.size
                if math.prod(self.stored) > most:
                    raise InputError(f"{called} has more pixels than VISAVIS_MAX_PIXELS allows.")
                if format == "TIFF":  # Pillow swaps the sides of a turned TIFF at once
                    self.stored = (int(self._image.tag_v2[256]), int(self._image.tag_v2[257]))  # type: ignore[attr-defined]
                if format == "PNG" and _PNG_KEY.encode() in data:
                    self._image.load()  # ExifTool writes XMP behind the pixels
            except InputError:
                raise
            except Exception as error:  # on damaged files the readers raise nearly anything
                raise InputError(f"{called} is damaged: it cannot be opened as {format}.") from error
        xmp = self._image.info.get("xmp")
        self.xmp = xmp.rstrip(b"\0") if isinstance(xmp, bytes) else b""  # a TIFF may hold anything under this tag
        whole = Path(path)
        self.sidecars = (whole.with_name(whole.name + ".xmp"), whole.with_suffix(".xmp"))

    @cached_property
    def turn(self) -> int:
        """The EXIF orientation, 1 to 8; only asked for where there are regions: Pillow decodes a PNG for it."""
        with decode.quiet():
            return decode.orientation(self._image)


def _named(head: _Head) -> list[Region]:
    for source in (*head.sidecars, head.xmp):
        try:
            data = source if isinstance(source, bytes) else _sidecar(source)
            found = list(islice(_faces(data, head), _MOST)) if len(data) <= _LARGEST else []
        except (*_DAMAGED, InputError):
            continue
        if found:
            return found
    return []


def _sidecar(path: Path) -> bytes:
    """Raises InputError for what is no regular file of at most 5 MB; opens neither links nor pipes nor devices."""
    name = paths.openable(path)
    flags = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_NOFOLLOW", "O_BINARY", "O_CLOEXEC"))
    try:
        if not stat.S_ISREG(os.lstat(name).st_mode):
            raise InputError(f"{paths.shown(path)} is a link or no regular file; it is not opened.")
        with open(os.open(name, flags), "rb") as handle:
            data = handle.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        raise paths.failure(path, error, "read") from error
    if len(data) > _LARGEST:
        raise InputError(f"{paths.shown(path)} is larger than {_LARGEST / 1e6:.0f} MB; it is not read.")
    return data


def _parse(data: bytes) -> tuple[Element, list[Element], Element]:
    """The root, its rdf:Descriptions, its mwg-rs:Regions, both made where missing; raises one of _DAMAGED."""
    root: Element = fromstring(data, forbid_dtd=True)
    rdf = root if root.tag == _tag("rdf:RDF") else root.find(_tag("rdf:RDF"))
    if rdf is None:
        raise ValueError("no RDF")
    about = rdf.findall(_tag("rdf:Description")) or [SubElement(rdf, _tag("rdf:Description"), {_tag("rdf:about"): ""})]
    found = next((part for each in about for part in each.findall(_tag("mwg-rs:Regions"))), None)
    if found is None:
        found = SubElement(about[0], _tag("mwg-rs:Regions"))
    node = _inner(found)
    if node is found:  # a field that was empty may lack it
        node.set(_tag("rdf:parseType"), "Resource")
    return root, about, node


def _faces(data: bytes, head: _Head) -> Iterator[Region]:
    _, about, node = _parse(data)
    boxes: list[Box] = []
    for _, kind, name, box in _mwg(node, _turn(node, head)):
        if kind == "Face" and name and box:
            boxes.append(box)
            yield Region(name, box)
    # Most managers write both forms, Windows only its own.
    for each in about:
        for item in map(_inner, _items(_struct(each, "MP:RegionInfo"), "MPRI:Regions")[:_MOST]):
            name = _name(_text(item, "MPReg:PersonDisplayName"))
            x, y, w, h = _numbers((_text(item, "MPReg:Rectangle") or "").split(","), 4)
            box = _clip((x, y, x + w, y + h), head.turn)
            if name and box and not any(_same(box, other) for other in boxes):
                yield Region(name, box)


def _mwg(node: Element, turn: int) -> Iterator[tuple[Element, str | None, str, Box | None]]:
    """For each region: its rdf:li, its type, its name, its box on the upright photo."""
    for item in _items(node, "mwg-rs:RegionList"):
        region = _inner(item)
        area = _struct(region, "mwg-rs:Area")
        x, y, w, h = _numbers([_text(area, f"stArea:{part}") for part in "xywh"], 4)
        known = _text(area, "stArea:unit") in (None, "normalized")
        box = _clip((x - w / 2, y - h / 2, x + w / 2, y + h / 2), turn) if known else None
        yield item, _text(region, "mwg-rs:Type"), _name(_text(region, "mwg-rs:Name")), box


def _fill(node: Element, kept: list[Element], ours: list[Region], turn: int, size: tuple[int, int]) -> None:
    """Replaces dimensions and list of an mwg-rs:Regions; turn: from the written boxes to the upright photo."""
    for part in [part for part in node if part.tag in (_tag("mwg-rs:AppliedToDimensions"), _tag("mwg-rs:RegionList"))]:
        node.remove(part)
    width, height = size[::-1] if turn > 4 else size
    _add(node, "mwg-rs:AppliedToDimensions", {"stDim:w": width, "stDim:h": height, "stDim:unit": "pixel"})
    bag = SubElement(SubElement(node, _tag("mwg-rs:RegionList")), _tag("rdf:Bag"))
    bag.extend(kept)
    for region in ours:
        x1, y1, x2, y2 = _turned(region.box, {6: 8, 8: 6}.get(turn, turn))
        shares = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "w": x2 - x1, "h": y2 - y1}
        item = _add(bag, "rdf:li", {"mwg-rs:Name": region.name, "mwg-rs:Type": "Face"})
        area = {f"stArea:{part}": f"{share:.6f}" for part, share in shares.items()}
        _add(item, "mwg-rs:Area", {**area, "stArea:unit": "normalized"})


def _add(parent: Element, name: str, fields: Mapping[str, object]) -> Element:
    child = SubElement(parent, _tag(name), {_tag("rdf:parseType"): "Resource"})
    for key, value in fields.items():
        SubElement(child, _tag(key)).text = str(value)
    return child


def _turn(node: Element, head: _Head) -> int:
    """The EXIF orientation that is still to be applied to the regions of an mwg-rs:Regions."""
    # The guidelines (MWG 2.0) relate regions to the image as stored, to be turned together with it. Some writers turn
    # first: their AppliedToDimensions then is the upright size, which tells where the sides are swapped (5 to 8) and
    # unequal; 2 to 4 leave no trace, and there the guidelines hold.
    applied = _struct(node, "mwg-rs:AppliedToDimensions")
    size = tuple(_numbers([_text(applied, "stDim:w"), _text(applied, "stDim:h")], 2))
    upright = head.turn > 4 and size != head.stored and size == head.stored[::-1]
    return 1 if upright else head.turn


def _turned(box: Box, turn: int) -> Box:
    """A box of the stored image on the image that an EXIF orientation turns upright."""
    x1, y1, x2, y2 = box
    if turn > 4:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if turn in (2, 3, 6, 7):
        x1, x2 = 1 - x2, 1 - x1
    if turn in (3, 4, 7, 8):
        y1, y2 = 1 - y2, 1 - y1
    return x1, y1, x2, y2


def _clip(box: Box, turn: int = 1) -> Box | None:
    """The part inside 0..1, turned upright; None where nothing is left or a side is no number."""
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) if math.isfinite(side) else math.nan for side in box)
    return _turned((x1, y1, x2, y2), turn) if x1 < x2 and y1 < y2 else None


def _same(a: Box, b: Box) -> bool:
    """Whether half of the smaller box lies in the other: faces side by side overlap less."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width > 0 and height > 0 and width * height >= smaller / 2


def _name(text: str | None) -> str:
    """Without control characters and what XML cannot hold, at most 200 characters."""
    good = (c for c in text or "" if unicodedata.category(c) not in ("Cc", "Cs") and c not in "\ufffe\uffff")
    return "".join(good).strip()[:_LONGEST].rstrip()


def _numbers(texts: Sequence[str | None], count: int) -> list[float]:
    """As many numbers, all NaN where a text is none or their count is another."""
    try:
        values = [float(text or "nan") for text in texts]
    except ValueError:
        values = []
    return values if len(values) == count else [math.nan] * count


def _tag(name: str) -> str:
    prefix, local = name.split(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def _inner(element: Element) -> Element:
    """What carries the fields of a struct: the element, or the rdf:Description that RDF allows inside it."""
    nested = element.find(_tag("rdf:Description"))
    return element if nested is None else nested


def _struct(node: Element, name: str) -> Element:
    found = node.find(_tag(name))
    return Element("none") if found is None else _inner(found)


def _text(node: Element, name: str) -> str | None:
    """A simple field, written as an attribute or as an element."""
    return node.get(_tag(name), node.findtext(_tag(name)))


def _items(node: Element, name: str) -> list[Element]:
    """The rdf:li of a Bag or Seq."""
    return node.findall(f"{_tag(name)}/*/{_tag('rdf:li')}")
