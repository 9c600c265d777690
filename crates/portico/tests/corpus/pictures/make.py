#!/usr/bin/env python3
"""Makes the pictures of this folder, as cameras and programs do: with everything they tell about their maker.

Needs Pillow (13.0.0 made those that are checked in). Whatever is private in them contains the word SECRETMARK, so
that a test can see that it is gone. usage: make.py [FOLDER]
"""
import io
import struct
import sys
import zlib
from pathlib import Path

from PIL import ExifTags, Image, ImageCms, PngImagePlugin

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
MARK = "SECRETMARK"


def picture(mode="RGB", size=(64, 48), shift=0):
    image = Image.new("RGB", size)
    image.putdata([((x * 4 + shift) % 256, y * 5 % 256, (x * y + shift) % 256) for y in range(size[1]) for x in range(size[0])])
    return image.convert(mode)


def exif(orientation=None):
    data = Image.Exif()
    data[ExifTags.Base.Make] = MARK
    data[ExifTags.Base.Artist] = f"{MARK} and friends"
    if orientation:
        data[ExifTags.Base.Orientation] = orientation
    place = data.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    place[ExifTags.GPS.GPSProcessingMethod] = MARK.encode()
    return data.tobytes()


XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{MARK}</rdf:RDF></x:xmpmeta>'.encode()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg(name, image=None, after=b"", more=b"", **options):
    file = io.BytesIO()
    (image or picture()).save(file, "JPEG", **options)
    data = file.getvalue()
    (FOLDER / name).write_bytes(data[:2] + more + data[2:] + after)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def jpegs():
    for orientation in (1, 3, 6, 8):
        jpeg(f"phone-{orientation}.jpg", exif=exif(orientation), xmp=XMP, icc_profile=ICC, comment=MARK, quality=80)
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", 15) + b"\x1c\x02\x50\0\x0a" + MARK.encode() + b"\0"
    jpeg("iptc.jpg", more=segment(0xED, iptc) + segment(0xE5, MARK.encode()))
    jpeg("plain.jpg", quality=90)
    jpeg("grey.jpg", picture("L"), exif=exif(6))
    jpeg("cmyk.jpg", picture("CMYK"), exif=exif())
    jpeg("progressive.jpg", progressive=True, exif=exif(5), comment=MARK)
    jpeg("restart.jpg", restart_marker_blocks=1, comment=MARK + "1")
    jpeg("subsampled.jpg", subsampling="4:2:0", comment=MARK + "22")
    jpeg("trailing.jpg", after=b"\0\0\0" + MARK.encode())
    thumbnail = b"JFIF\0\1\1\0\0\1\0\1\2\2" + bytes(12)
    data = (FOLDER / "plain.jpg").read_bytes()
    (FOLDER / "thumbnail.jpg").write_bytes(data[:2] + segment(0xE0, thumbnail) + data[20:])
    # Two pictures in one file, each with its own EXIF (multi-picture format), as phones write for depth and HDR.
    second = io.BytesIO()
    picture(shift=90).save(second, "JPEG", exif=exif(6), comment=MARK)
    mpf = b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\0\0\7\0\0\0\4" + b"0100" + bytes(4)
    jpeg("ultra-hdr.jpg", exif=exif(6), xmp=XMP, more=segment(0xE2, mpf), after=second.getvalue())
    file = io.BytesIO()
    picture().save(file, "MPO", save_all=True, append_images=[picture(shift=50)], exif=exif(8))
    (FOLDER / "mpo.jpg").write_bytes(file.getvalue())


def pngs():
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", MARK)
    info.add_text("Comment", MARK * 20, zip=True)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add_itxt("Title", MARK * 20, "en", "t", zip=True)
    info.add(b"tIME", bytes([7, 234, 1, 1, 1, 1, 1]))
    info.add(b"prIv", MARK.encode() + b"!")
    picture().save(FOLDER / "texts.png", pnginfo=info, exif=exif(3), icc_profile=ICC, dpi=(300, 300))
    picture().save(FOLDER / "plain.png")
    picture("RGBA").save(FOLDER / "alpha.png", exif=exif())
    picture("L").save(FOLDER / "grey.png")
    picture("1").save(FOLDER / "black-and-white.png")
    picture("P").save(FOLDER / "palette.png", transparency=3, exif=exif(6))
    picture("I").convert("I;16").save(FOLDER / "deep.png")
    picture().save(FOLDER / "animated.png", save_all=True, append_images=[picture(shift=40), picture(shift=80)], duration=100, pnginfo=info)
    data = (FOLDER / "plain.png").read_bytes()
    (FOLDER / "trailing.png").write_bytes(data + MARK.encode() * 3)
    # Each length in turn, so that every way to fill up a group of three is taken.
    for more in range(4):
        (FOLDER / f"filled-{more}.png").write_bytes(data[:33] + chunk(b"tEXt", b"Author\0" + MARK.encode() + b"x" * more) + data[33:])


def webps():
    everything = {"exif": exif(6), "xmp": XMP, "icc_profile": ICC}
    picture().save(FOLDER / "lossy.webp", quality=80)
    picture().save(FOLDER / "lossless.webp", lossless=True)
    picture("RGBA").save(FOLDER / "alpha.webp", quality=80, **everything)
    picture().save(FOLDER / "phone.webp", quality=80, **everything)
    picture().save(FOLDER / "upright.webp", lossless=True, exif=exif(), xmp=XMP + b" ")
    frames = [picture(shift=40), picture(shift=80)]
    picture().save(FOLDER / "animated.webp", save_all=True, append_images=frames, duration=100, exif=exif(), xmp=XMP)


def gifs():
    picture().save(FOLDER / "plain.gif")
    for more in range(3):
        picture().save(FOLDER / f"comment-{more}.gif", comment=MARK + "x" * more)
    frames = [picture(shift=40), picture(shift=80)]
    picture().save(FOLDER / "animated.gif", save_all=True, append_images=frames, duration=100, loop=0, comment=MARK)
    data = (FOLDER / "comment-0.gif").read_bytes()
    xmp = b"\x21\xff\x0bXMP DataXMP" + bytes([len(XMP)]) + XMP + b"\0"
    (FOLDER / "xmp.gif").write_bytes(data[:-1] + xmp + b";" + MARK.encode())


for make in (jpegs, pngs, webps, gifs):
    make()
