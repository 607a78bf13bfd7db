"""PNG pictures."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.hostile.parts import GREY, bomb, chunk, picture_bytes, png
from tests.hostile.register import content

content("truncated.png", lambda: picture_bytes(GREY)[:200])
content("header-only.png", lambda: picture_bytes(GREY)[:33])
content("signature-only.png", b"\x89PNG\r\n\x1a\n")
content("constant.png", png)
content("16k.png", lambda: png(16384, 16384, data=bomb()))
content("many-pixels.png", lambda: png(16000, 16000, data=bomb()))
content("2g-wide.png", lambda: png(2**31 - 1, 1, data=bomb()))
content("2g-square.png", lambda: png(2**31 - 1, 2**31 - 1, data=bomb()))
content("no-width.png", lambda: png(0, 32))
content("no-height.png", lambda: png(32, 0))
content("short-data.png", lambda: png(4096, 4096, data=zlib.compress(bytes(100))))
content("bad-depth.png", lambda: png(depth=77))
content("bad-color.png", lambda: png(color=9))
content("garbage-data.png", lambda: png(data=b"no deflated stream"))
content("huge-chunk.png", lambda: png()[:33] + struct.pack(">I", 2**31 - 1) + b"IDATxx")
content("text-bomb.png", lambda: png(extra=16 * chunk(b"zTXt", b"a\0\0" + bomb())))
content("profile-bomb.png", lambda: png(extra=chunk(b"iCCP", b"a\0\0" + bomb())))
content("animated.png", lambda: animated(3))
content("endless-animation.png", lambda: png(extra=chunk(b"acTL", struct.pack(">II", 2**31, 0))))
content("colour.png", lambda: picture_bytes(np.stack([GREY, GREY.T, GREY[::-1]], -1)))
content("flipped-bytes.png", lambda: flipped(picture_bytes(GREY), 8))


def flipped(data, start):
    damaged = bytearray(data)
    for place in np.random.default_rng(3).integers(start, len(data), 40):
        damaged[place] ^= 0xFF
    return bytes(damaged)


def animated(count):
    stream = io.BytesIO()
    pages = [Image.fromarray(np.roll(GREY, page)) for page in range(count)]
    pages[0].save(stream, "PNG", save_all=True, append_images=pages[1:])
    return stream.getvalue()
