"""Exported models with one thing changed, as a bad disk, an editor or a liar leaves them."""

import json
import random
import shutil

from xctrs_tf.reconstruction.export_files import CHECKSUMS, METADATA, write_checksums

# Values that a field of the metadata is exchanged for.
STRANGE = (
    *(0, -1, 5, 1e-30, 10**30, 10**400, 0.5, float("nan"), float("inf"), float("-inf")),
    *("", "2.5", "\x1b[2J", None, True, [], [5, 5], [1500, -1000], [[[]]], {}, {"a": 1}),
)


def mutate(folder, seed):
    """Change one thing of an exported model.

    Args:
        folder: `pathlib.Path` of a version folder.
        seed: number of the change.
    """
    generator = random.Random(seed)
    kind = generator.choice((_change_file, _change_file, _change_field, _change_field))
    kind(folder, generator)


def _change_file(folder, generator):
    """Change the bytes of a file, cut it, empty it, or take it away or exchange it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = generator.choice(files)
    content = bytearray(file.read_bytes())
    kind = generator.randrange(6)
    if kind == 0 and content:
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        file.write_bytes(content)
    elif kind == 1:
        file.write_bytes(content[: generator.randrange(len(content) + 1)])
    elif kind == 2:
        file.write_bytes(b"")
    elif kind == 3:
        file.unlink()
    elif kind == 4:
        at = generator.randrange(len(content) + 1)
        file.write_bytes(content[:at] + generator.randbytes(64) + content[at:])
    else:
        shutil.copy(generator.choice(files), file.with_name(f"copy-of-{file.name}"))


def _change_field(folder, generator):
    """Change a value in the metadata, anywhere, and hash the files again."""
    file = folder / METADATA
    metadata = json.loads(file.read_text(encoding="utf-8"))
    place, key = metadata, generator.choice(list(metadata))
    while isinstance(place[key], dict | list) and place[key] and generator.random() < 0.8:
        place = place[key]
        key = generator.choice(list(place)) if isinstance(place, dict) else 0
    if generator.random() < 0.3 and isinstance(place, dict):
        del place[key]
    else:
        place[key] = generator.choice(STRANGE)
    file.write_text(json.dumps(metadata), encoding="utf-8")
    if metadata.get("checksums") == CHECKSUMS:
        write_checksums(folder)
