"""Cuts the typefaces of the exports out of the Noto families. Run once, by hand; see README.md beside this file.

    python3 make.py FONTS EMOJI OUT

FONTS is the `usr/share/fonts` of the unpacked Debian packages, EMOJI the `files` of the unpacked npm package.
"""

import sys
from pathlib import Path

from fontTools.merge import Merger
from fontTools.subset import Options, Subsetter, load_font, save_font
from fontTools.ttLib import TTFont

# Latin with extensions, IPA, Greek, Cyrillic, general punctuation, currency, arrows and the like of running text.
TEXT = [(0x20, 0x7E), (0xA0, 0x24F), (0x2B0, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x1E00, 0x1EFF),
        (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20C0), (0x2100, 0x214F), (0x2150, 0x218F), (0x2190, 0x21FF),
        (0x2200, 0x22FF), (0x25A0, 0x25FF), (0xFB00, 0xFB04), (0xFFFD, 0xFFFD)]
MONO = TEXT + [(0x2500, 0x259F)]
SYMBOLS = [(0x2190, 0x21FF), (0x2200, 0x22FF), (0x2300, 0x23FF), (0x2460, 0x24FF), (0x25A0, 0x25FF),
           (0x2600, 0x27BF), (0x27C0, 0x27EF), (0x27F0, 0x27FF), (0x2900, 0x297F), (0x2B00, 0x2BFF)]
EVERYTHING = [(0, 0x10FFFF)]


def cjk():
    """The characters in everyday use: GB 2312, JIS X 0208, the frequent half of Big5, and KS X 1001's Hangul."""
    chars = set(range(0x3000, 0x3100)) | set(range(0x31F0, 0x3200))
    chars |= set(range(0xFF00, 0xFFF0)) | set(range(0x3105, 0x3130)) | {0x30FB, 0x3231, 0x32A3, 0x338F}

    def add(codec, leads, trails):
        for lead in leads:
            for trail in trails:
                try:
                    text = bytes([lead, trail]).decode(codec)
                except UnicodeDecodeError:
                    continue
                if len(text) == 1 and (0x3000 <= ord(text) <= 0x9FFF or 0xAC00 <= ord(text) <= 0xD7A3):
                    chars.add(ord(text))
    add("gb2312", range(0xB0, 0xF8), range(0xA1, 0xFF))
    add("euc_jp", range(0xA1, 0xF5), range(0xA1, 0xFF))
    add("big5", range(0xA4, 0xC7), range(0x40, 0xFF))
    add("euc_kr", range(0xB0, 0xC9), range(0xA1, 0xFF))
    return chars


def cut(source, out, ranges=None, unicodes=None, number=-1, drop=(), features=None):
    options = Options()
    options.hinting = False
    options.notdef_outline = True
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14, 16, 17]
    options.glyph_names = False
    options.drop_tables += ["DSIG", "vhea", "vmtx", "VORG"] + list(drop)
    options.desubroutinize = False
    if features:
        options.layout_features = features
    options.font_number = number
    font = load_font(str(source), options, dontLoadGlyphNames=True)
    wanted = set(unicodes or ())
    have = set(font.getBestCmap())
    for first, last in ranges or ():
        wanted |= {c for c in have if first <= c <= last}
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=wanted & have)
    subsetter.subset(font)
    save_font(font, str(out), options)
    print(f"{out.name}: {out.stat().st_size // 1024} KB, {len(font.getBestCmap())} characters")


def main(noto, emoji, out):
    out.mkdir(exist_ok=True)
    ttf = noto / "truetype/noto"
    for style in ["Regular", "Bold", "Italic", "BoldItalic"]:
        cut(ttf / f"NotoSerif-{style}.ttf", out / f"NotoSerif-{style}.ttf", TEXT)
        cut(ttf / f"NotoSans-{style}.ttf", out / f"NotoSans-{style}.ttf", TEXT)
    for style in ["Regular", "Bold"]:
        cut(ttf / f"NotoSansMono-{style}.ttf", out / f"NotoSansMono-{style}.ttf", MONO)
        for family in ["NotoNaskhArabic", "NotoSerifHebrew", "NotoSansHebrew", "NotoSansThai"]:
            cut(ttf / f"{family}-{style}.ttf", out / f"{family}-{style}.ttf", EVERYTHING)
    for script in ["Devanagari", "Bengali", "Tamil", "Armenian", "Georgian", "Telugu", "Gujarati", "Kannada", "Malayalam",
                   "Gurmukhi", "Oriya", "Sinhala", "Khmer", "Lao", "Myanmar", "Ethiopic"]:
        cut(ttf / f"NotoSans{script}-Regular.ttf", out / f"NotoSans{script}-Regular.ttf", EVERYTHING)
    cut(ttf / "NotoSansSymbols2-Regular.ttf", out / "NotoSansSymbols2-Regular.ttf", SYMBOLS)
    cut(ttf / "NotoSansMath-Regular.ttf", out / "NotoSansMath-Regular.ttf", SYMBOLS[:2] + [(0x2A00,0x2AFF)])
    cut(noto / "opentype/noto/NotoSansCJK-Regular.ttc", out / "NotoSansCJK-Regular.otf", unicodes=cjk(), number=2,
        features=["locl", "ccmp", "kern", "liga", "palt"])
    parts = []
    for path in sorted(emoji.glob("noto-emoji-[0-9]*-400-normal.woff2")):
        font = TTFont(path)
        font.flavor = None
        part = out / f"part-{path.stem}.ttf"
        font.save(part)
        parts.append(str(part))
    merged = out / "merged.ttf"
    Merger().merge(parts).save(merged)
    cut(merged, out / "NotoEmoji-Regular.ttf", EVERYTHING)
    for path in [merged, *map(Path, parts)]:
        path.unlink()


main(*map(Path, sys.argv[1:]))
