"""Names on photos in the forms that photo managers write, and sidecars that keep what is not ours."""

from __future__ import annotations

import os
import time
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from tests.media.drawing import as_nobody, sentences

from visavis.core.errors import InputError
from visavis.media.regions import Region, read_regions, write_regions

SIZE = (64, 48)
SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "own": "http://example.org/own/",
}
DECLARED = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items())
ADA = Region("Ada", (0.1, 0.2, 0.3, 0.6))
BOB = Region("Bob", (0.5, 0.25, 0.75, 0.5))
AREA_OF_ADA = 'stArea:x="0.2" stArea:y="0.4" stArea:w="0.2" stArea:h="0.4" stArea:unit="normalized"'


def packet(body: str) -> str:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {DECLARED}><rdf:Description rdf:about="">{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    )


def regions(*items: str, size: tuple[int, int] | None = SIZE) -> str:
    dimensions = ""
    if size is not None:
        dimensions = f'<mwg-rs:AppliedToDimensions stDim:w="{size[0]}" stDim:h="{size[1]}" stDim:unit="pixel"/>'
    return (
        f'<mwg-rs:Regions rdf:parseType="Resource">{dimensions}<mwg-rs:RegionList><rdf:Bag>{"".join(items)}</rdf:Bag>'
        "</mwg-rs:RegionList></mwg-rs:Regions>"
    )


def face(region: Region, kind: str = "Face", unit: str = "normalized", more: str = "") -> str:
    x1, y1, x2, y2 = region.box
    area = f'stArea:x="{(x1 + x2) / 2}" stArea:y="{(y1 + y2) / 2}" stArea:w="{x2 - x1}" stArea:h="{y2 - y1}"'
    return (
        f'<rdf:li><rdf:Description mwg-rs:Name="{region.name}" mwg-rs:Type="{kind}"><mwg-rs:Area {area} '
        f'stArea:unit="{unit}"/>{more}</rdf:Description></rdf:li>'
    )


def microsoft(*people: tuple[str, str]) -> str:
    items = "".join(
        f'<rdf:li><rdf:Description MPReg:PersonDisplayName="{name}" MPReg:Rectangle="{box}"/></rdf:li>'
        for name, box in people
    )
    return (
        "<MP:RegionInfo><rdf:Description><MPRI:Regions><rdf:Bag>"
        f"{items}</rdf:Bag></MPRI:Regions></rdf:Description></MP:RegionInfo>"
    )


DIGIKAM = f"""<mwg-rs:Regions rdf:parseType="Resource">
 <mwg-rs:AppliedToDimensions stDim:w="64" stDim:h="48" stDim:unit="pixel"/>
 <mwg-rs:RegionList><rdf:Bag>
  <rdf:li><rdf:Description mwg-rs:Name="Ada" mwg-rs:Type="Face"><mwg-rs:Area {AREA_OF_ADA}/></rdf:Description></rdf:li>
 </rdf:Bag></mwg-rs:RegionList>
</mwg-rs:Regions>"""
LIGHTROOM = f"""<mwg-rs:Regions><rdf:Description>
 <mwg-rs:AppliedToDimensions stDim:w="64" stDim:h="48" stDim:unit="pixel"/>
 <mwg-rs:RegionList><rdf:Bag>
  <rdf:li>
   <rdf:Description mwg-rs:Rotation="0.0" mwg-rs:Name="Ada" mwg-rs:Type="Face"><mwg-rs:Area {AREA_OF_ADA}/>
   </rdf:Description>
  </rdf:li>
 </rdf:Bag></mwg-rs:RegionList>
</rdf:Description></mwg-rs:Regions>"""
PICASA = """<mwg-rs:Regions rdf:parseType="Resource">
 <mwg-rs:AppliedToDimensions rdf:parseType="Resource">
  <stDim:w>64</stDim:w><stDim:h>48</stDim:h><stDim:unit>pixel</stDim:unit>
 </mwg-rs:AppliedToDimensions>
 <mwg-rs:RegionList><rdf:Bag>
  <rdf:li rdf:parseType="Resource">
   <mwg-rs:Type>Face</mwg-rs:Type><mwg-rs:Name>Ada</mwg-rs:Name>
   <mwg-rs:Area rdf:parseType="Resource">
    <stArea:x>0.2</stArea:x><stArea:y>0.4</stArea:y><stArea:w>0.2</stArea:w><stArea:h>0.4</stArea:h>
    <stArea:unit>normalized</stArea:unit>
   </mwg-rs:Area>
  </rdf:li>
 </rdf:Bag></mwg-rs:RegionList>
</mwg-rs:Regions>"""
NESTED = f"""<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>
 <rdf:li mwg-rs:Name="Ada" mwg-rs:Type="Face">
  <mwg-rs:Area><rdf:Description {AREA_OF_ADA}/></mwg-rs:Area>
 </rdf:li>
</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"""
WINDOWS = """<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>
 <rdf:li rdf:parseType="Resource">
  <MPReg:PersonDisplayName>Ada</MPReg:PersonDisplayName><MPReg:Rectangle>0.1, 0.2, 0.2, 0.4</MPReg:Rectangle>
 </rdf:li>
</rdf:Bag></MPRI:Regions></MP:RegionInfo>"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return picture(tmp_path / "a.jpg")


def picture(path: Path, xmp: str | None = None, turn: int = 1, size: tuple[int, int] = SIZE) -> Path:
    """A photo whose stored pixels are `size`, saved with XMP inside."""
    image, exif = Image.new("RGB", size, "teal"), Image.Exif()
    exif[274] = turn
    options: dict[str, object] = {"exif": exif}
    if path.suffix == ".png":
        info = PngInfo()
        if xmp is not None:
            info.add_itxt("XML:com.adobe.xmp", xmp)
        options["pnginfo"] = info
    elif path.suffix == ".tif":
        options = {"tiffinfo": {274: turn} | ({} if xmp is None else {700: xmp.encode()})}
    elif xmp is not None:
        options["xmp"] = xmp.encode()
    image.save(path, **options)
    return path


def beside(photo: Path, text: str | bytes, name: str | None = None) -> Path:
    path = photo.with_name(name or photo.name + ".xmp")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def close(found: list[Region], *expected: Region) -> bool:
    return [r.name for r in found] == [r.name for r in expected] and all(
        r.box == pytest.approx(e.box, abs=2e-6) for r, e in zip(found, expected, strict=True)
    )


def upright_of(box: tuple[float, ...], turn: int) -> tuple[float, float, float, float]:
    """Where Pillow's own turning takes a box of the stored picture, on a grid of 100."""
    stored = Image.new("L", (100, 100))
    stored.paste(255, tuple(round(side * 100) for side in box))
    how = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    turned = stored if turn == 1 else stored.transpose(Image.Transpose(how[turn]))
    found = turned.getbbox()
    assert found is not None
    return found[0] / 100, found[1] / 100, found[2] / 100, found[3] / 100


@pytest.mark.parametrize("form", [DIGIKAM, LIGHTROOM, PICASA, NESTED, WINDOWS])
@pytest.mark.parametrize("inside", [True, False])
def test_every_managers_form(tmp_path: Path, form: str, inside: bool) -> None:
    photo = picture(tmp_path / "a.jpg", packet(form) if inside else None)
    if not inside:
        beside(photo, packet(form))
    assert close(read_regions(str(photo)), ADA)


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_every_format_that_carries_xmp(tmp_path: Path, name: str, turn: int) -> None:
    photo = picture(tmp_path / name, packet(regions(face(ADA))), turn)
    assert close(read_regions(photo), Region("Ada", upright_of(ADA.box, turn)))


def test_a_tiff_whose_xmp_is_a_number(tmp_path: Path) -> None:
    tags = ImageFileDirectory_v2()
    tags.tagtype[700], tags[700] = 4, 7
    Image.new("RGB", SIZE).save(tmp_path / "a.tif", tiffinfo=tags)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info["xmp"] == 7
    assert read_regions(tmp_path / "a.tif") == []


def test_xmp_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.png")
    body = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet(DIGIKAM).encode()
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    data = photo.read_bytes()
    photo.write_bytes(data[:-12] + chunk + data[-12:])
    assert close(read_regions(photo), ADA)


def test_a_photo_without_names(photo: Path) -> None:
    assert read_regions(photo) == []
    beside(photo, packet("<xmp:Rating>3</xmp:Rating>"))
    assert read_regions(photo) == []


def test_both_forms_of_one_face_count_once(tmp_path: Path) -> None:
    both = DIGIKAM + microsoft(("Ada L.", "0.1, 0.2, 0.2, 0.4"), ("Bob", "0.5, 0.25, 0.25, 0.25"))
    assert close(read_regions(picture(tmp_path / "a.jpg", packet(both))), ADA, BOB)


def test_only_named_faces_with_a_real_box(photo: Path) -> None:
    box = (0.5, 0.5, 0.75, 0.75)
    items = (
        face(Region("Rex", box), "Pet"),
        face(Region("4006381333931", box), "BarCode"),
        face(Region("", box)),
        face(Region("Pixels", box), unit="pixel"),
        face(Region("Nothing", (0.5, 0.5, 0.5, 0.75))),
        face(Region("Outside", (1.25, 0.5, 1.5, 0.75))),
        face(Region("NaN", (float("nan"), 0.5, 0.75, 0.75))),
        face(Region("Infinite", (0.5, 0.5, float("inf"), 0.75))),
        face(Region("Text", box)).replace('stArea:x="', 'stArea:x="about '),
        face(Region("Wide", box)).replace('stArea:w="0.25"', 'stArea:w="inf"'),
        face(Region("Half", (-0.25, 0.5, 0.25, 1.5))),
        face(Region("x" * 300, box)),
        face(Region("a&#9;b&#10;c&#x85;d", box)),
    )
    wrong = [("Few", "0.1, 0.1, 0.1"), ("Many", "0.1, 0.1, 0.1, 0.1, 0.1"), ("Words", "a, b, c, d"), ("", "0, 0, 1, 1")]
    beside(photo, packet(regions(*items) + microsoft(*wrong)))
    cut, clean = Region("x" * 200, box), Region("abcd", box)
    assert close(read_regions(photo), Region("Half", (0, 0.5, 0.25, 1)), cut, clean)


def test_a_sidecar_beats_what_is_inside_and_the_longer_name_the_shorter(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.jpg", packet(regions(face(Region("inside", ADA.box)))))
    assert [r.name for r in read_regions(photo)] == ["inside"]
    beside(photo, packet(regions(face(Region("short", ADA.box)))), "a.xmp")
    assert [r.name for r in read_regions(photo)] == ["short"]
    long = beside(photo, packet(regions(face(Region("long", ADA.box)))))
    assert [r.name for r in read_regions(photo)] == ["long"]
    long.write_text(packet("<xmp:Rating>3</xmp:Rating>"))
    assert [r.name for r in read_regions(photo)] == ["short"]


@pytest.mark.parametrize("turn", range(1, 9))
def test_eight_orientations(tmp_path: Path, turn: int) -> None:
    upright = Region("Ada", upright_of(ADA.box, turn))
    for size in (SIZE, None, (6400, 4800)):  # as stored, unknown, neither
        photo = picture(tmp_path / "a.jpg", packet(regions(face(ADA), size=size)), turn)
        assert close(read_regions(photo), upright)
    photo = picture(tmp_path / "a.jpg", packet(regions(face(ADA), size=SIZE[::-1])), turn)
    assert close(read_regions(photo), ADA if turn > 4 else upright)
    square = packet(regions(face(ADA), size=(48, 48)))
    assert close(read_regions(picture(tmp_path / "a.jpg", square, turn, (48, 48))), upright)
    people = packet(microsoft(("Ada", "0.1, 0.2, 0.2, 0.4")))
    assert close(read_regions(picture(tmp_path / "a.jpg", people, turn)), upright)


@pytest.mark.parametrize("turn", range(1, 9))
def test_what_is_written_is_read_again_and_stored_as_the_guidelines_say(tmp_path: Path, turn: int) -> None:
    photo = picture(tmp_path / "a.jpg", turn=turn)
    before = photo.read_bytes()
    sidecar = write_regions(photo, [ADA, BOB], SIZE[::-1] if turn > 4 else SIZE)
    assert sidecar == tmp_path / "a.jpg.xmp"
    assert photo.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.jpg.xmp"]
    assert close(read_regions(photo), ADA, BOB)
    tree = ElementTree.parse(sidecar)
    assert tree.findtext(".//stDim:w", namespaces=SPACES) == "64"
    x, y, w, h = (float(tree.findtext(f".//stArea:{part}", namespaces=SPACES) or "nan") for part in "xywh")
    assert upright_of((x - w / 2, y - h / 2, x + w / 2, y + h / 2), turn) == pytest.approx(ADA.box)
    write_regions(photo, [Region("Eve", ADA.box)], SIZE[::-1] if turn > 4 else SIZE)
    assert close(sorted(read_regions(photo), key=lambda r: r.name), BOB, Region("Eve", ADA.box))


def test_names_of_any_script_and_none_that_breaks_the_file(photo: Path) -> None:
    names = ["Zoë <&> \"'", "张伟", "👩‍👩‍👧", "نور‌ا", "a\x00\x1b[31m\n\ud800\ufffeb", "y" * 300]
    boxes = [(i / 8, 0.0, (i + 1) / 8, 1.0) for i in range(8)]
    given = [Region(name, box) for name, box in zip([*names, "", "\n"], boxes, strict=True)]
    write_regions(photo, [*given, Region("NaN", (0, 0, float("nan"), 1)), Region("Empty", (0.5, 0, 0.5, 1))], SIZE)
    found = [*names[:4], "a[31mb", "y" * 200]
    assert close(read_regions(photo), *(Region(name, box) for name, box in zip(found, boxes, strict=False)))


def test_a_box_that_leaves_the_photo_is_clipped_when_written(photo: Path) -> None:
    write_regions(photo, [Region("Half", (-0.5, -1, 0.5, 0.5))], SIZE)
    assert close(read_regions(photo), Region("Half", (0, 0, 0.5, 0.5)))


KEPT = """<xmp:Rating>4</xmp:Rating>
 <dc:subject><rdf:Bag><rdf:li>holiday</rdf:li><rdf:li>Größe &lt;3</rdf:li></rdf:Bag></dc:subject>
 <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Beach</rdf:li></rdf:Alt></dc:title>
 <own:note own:state="new">mine</own:note>"""


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_a_sidecar_keeps_all_that_is_not_ours(photo: Path, name: str) -> None:
    rex, old = Region("Rex", (0.1, 0.2, 0.3, 0.6)), Region("wrong", (0.12, 0.2, 0.34, 0.6))
    far = Region("Cy", (0.8, 0.8, 0.9, 0.9))
    beside_ada = Region("Dee", (0.25, 0.2, 0.45, 0.6))
    seen = face(far, more="<mwg-rs:Description>by the tree</mwg-rs:Description>")
    text = packet(KEPT + regions(face(rex, "Pet"), face(old), seen, face(beside_ada), face(rex, unit="pixel")))
    before = beside(photo, text, name).read_bytes()
    sidecar = write_regions(photo, [ADA], SIZE)
    assert close(sorted(read_regions(photo), key=lambda r: r.name), ADA, far, beside_ada)
    if name == "a.xmp":
        assert (photo.parent / name).read_bytes() == before
    written = sidecar.read_text("utf-8")
    assert "wrong" not in written
    assert all(f"<{tag}" in written for tag in ("x:xmpmeta", "rdf:RDF", "xmp:Rating", "dc:subject", "mwg-rs:Regions"))
    old_tree, new_tree = (ElementTree.fromstring(each) for each in (text, written))
    for place in ("xmp:Rating", "dc:subject", "dc:title", "own:note"):
        pair = [tree.find(f".//{place}", SPACES) for tree in (old_tree, new_tree)]
        first, second = (ElementTree.canonicalize(ElementTree.tostring(each)).strip() for each in pair)
        assert first == second
    assert new_tree.findtext(".//mwg-rs:Description", namespaces=SPACES) == "by the tree"
    mwg = f"{{{SPACES['mwg-rs']}}}"
    assert [pet.get(f"{mwg}Name") for pet in new_tree.findall(f".//*[@{mwg}Type='Pet']")] == ["Rex"]
    assert new_tree.findall(f".//*[@{{{SPACES['stArea']}}}unit='pixel']") != []
    assert len(new_tree.findall(".//mwg-rs:RegionList", SPACES)) == 1


def test_kept_regions_of_an_upright_list_stay_where_they_are(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.jpg", turn=6)
    beside(photo, packet(regions(face(BOB), size=SIZE[::-1])))
    for size in (SIZE[::-1], (24, 32)):
        write_regions(photo, [ADA], size)
        assert close(read_regions(photo), BOB, ADA)


def test_an_empty_field_becomes_a_struct(photo: Path) -> None:
    beside(photo, packet("<mwg-rs:Regions/>"))
    node = ElementTree.parse(write_regions(photo, [ADA], SIZE)).find(".//mwg-rs:Regions", SPACES)
    assert node is not None
    assert node.get(f"{{{SPACES['rdf']}}}parseType") == "Resource"


def test_writing_twice_changes_nothing(photo: Path) -> None:
    beside(photo, packet(KEPT))
    first = write_regions(photo, [ADA, BOB], SIZE).read_bytes()
    assert write_regions(photo, [ADA, BOB], SIZE).read_bytes() == first


def test_names_inside_the_photo_are_not_hidden_by_a_new_sidecar(tmp_path: Path) -> None:
    inside = packet(regions(face(BOB), face(Region("old name", ADA.box))))
    photo = picture(tmp_path / "a.jpg", inside)
    write_regions(photo, [ADA], SIZE)
    assert close(read_regions(photo), ADA, BOB)


def bomb() -> str:
    lines = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{lines}]>' + packet(regions(face(Region("&l9;", ADA.box))))


HOSTILE = {
    "bomb": bomb(),
    "external": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:SECRET">]>' + packet(PICASA.replace(">Ada<", ">&e;<")),
    "dtd": '<!DOCTYPE x SYSTEM "file:SECRET">' + packet(DIGIKAM),
    "truncated": packet(DIGIKAM)[:-100],
    "empty": "",
    "no xmp": "<html><body>hello</body></html>",
    "encoding": '<?xml version="1.0" encoding="made-up"?>' + packet(DIGIKAM).split("?>", 1)[1],
    "6 MB": packet(DIGIKAM) + " " * 6_000_000,
    "deep": packet("<own:a>" * 100_000 + "</own:a>" * 100_000),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_xmp_gives_no_names_and_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    photo = picture(tmp_path / "a.jpg")
    sidecar = beside(photo, HOSTILE[kind].replace("SECRET", f"//{secret}"))
    before = sidecar.read_bytes()
    assert read_regions(photo) == []
    with pytest.raises(InputError) as caught:
        write_regions(photo, [ADA], SIZE)
    sentences(str(caught.value), "a.jpg.xmp")
    assert sidecar.read_bytes() == before
    if len(before) < 60_000:
        assert read_regions(picture(tmp_path / "b.jpg", before.decode())) == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix not in (".jpg", "")) == ["a.jpg.xmp"]


def test_the_hostile_files_would_be_read_but_for_their_sting(photo: Path) -> None:
    beside(photo, HOSTILE["dtd"].split(">", 1)[1])
    assert close(read_regions(photo), ADA)
    beside(photo, HOSTILE["6 MB"][:4_900_000])
    assert close(read_regions(photo), ADA)


def test_xmp_of_6_mb_inside_a_photo_is_not_read(tmp_path: Path) -> None:
    assert close(read_regions(picture(tmp_path / "a.tif", HOSTILE["6 MB"][:4_900_000])), ADA)
    assert read_regions(picture(tmp_path / "a.tif", HOSTILE["6 MB"])) == []


def test_damaged_sidecars_do_not_hide_what_is_inside(tmp_path: Path) -> None:
    photo = picture(tmp_path / "a.jpg", packet(DIGIKAM))
    beside(photo, HOSTILE["truncated"])
    assert close(read_regions(photo), ADA)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "broken link", "pipe", "folder", "device"])
def test_a_sidecar_that_is_no_plain_file_is_not_opened(photo: Path, kind: str) -> None:
    sidecar, real = photo.with_name("a.jpg.xmp"), photo.with_name("real.xml")
    real.write_text(packet(DIGIKAM))
    if kind == "pipe":
        os.mkfifo(sidecar)
    elif kind == "folder":
        sidecar.mkdir()
    elif kind == "device":
        if os.geteuid():
            pytest.skip("only root makes devices")
        os.mknod(sidecar, 0o020666, os.makedev(1, 5))
    else:
        sidecar.symlink_to(real if kind == "link" else photo.with_name("gone"))
    before = sidecar.lstat()
    assert read_regions(photo) == []
    with pytest.raises(InputError) as caught:
        write_regions(photo, [ADA], SIZE)
    sentences(str(caught.value), "a.jpg.xmp")
    assert "not opened" in str(caught.value)
    assert sidecar.lstat().st_ino == before.st_ino
    assert real.read_text() == packet(DIGIKAM)


def test_a_sidecar_without_permission(photo: Path) -> None:
    beside(photo, packet(DIGIKAM)).chmod(0)
    with as_nobody(photo.parent):
        assert read_regions(photo) == []
        with pytest.raises(InputError, match=r"a\.jpg\.xmp cannot be read"):
            write_regions(photo, [ADA], SIZE)


@pytest.mark.timeout(60)
def test_a_flood_of_faces_is_cut_and_quick(photo: Path) -> None:
    people = microsoft(*[("M", f"0.{i:05d}, 0.9, 0.00001, 0.1") for i in range(9000)])
    named = face(Region("N", (0.0, 0.0, 0.5, 0.5)))
    beside(photo, packet(regions(*[named] * 9000) + people))
    assert len(read_regions(photo)) == 1000
    beside(photo, packet(regions(*[named] * 900) + microsoft(*[("M", "0, 0, 0.5, 0.5")] * 9000)))
    assert len(read_regions(photo)) == 900
    before = time.perf_counter()
    write_regions(photo, [ADA], SIZE)
    assert time.perf_counter() - before < 10


def test_what_is_no_photo_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("I am a text.")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    for name in ("text.jpg", "cut.png", "gone.jpg"):
        for call in (lambda path: read_regions(path), lambda path: write_regions(path, [ADA], SIZE)):
            with pytest.raises(InputError) as caught:
                call(tmp_path / name)
            sentences(str(caught.value), name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.png", "text.jpg"]


def test_a_photo_of_too_many_pixels_is_not_opened(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAVIS_MAX_PIXELS", "1000")
    with pytest.raises(InputError, match="VISAVIS_MAX_PIXELS"):
        read_regions(photo)
