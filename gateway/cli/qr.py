"""A text as a QR code on a terminal: text in, lines of blocks out (ISO/IEC 18004, by segno). Other characters than blocks would
make it twice as wide as a terminal, or stretch it so that cameras do not find it.
"""

from __future__ import annotations

QUIET = 4
"""Light modules around it that the standard asks for; cameras find the code by them."""
_BLOCKS = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}
_LIGHT_ON_DARK, _RESET = "\x1b[97;40m", "\x1b[0m"


def drawn(text: str, *, colored: bool) -> str:
    """Two modules above each other in one character. Light ones are drawn, dark ones left out: most terminals are dark, and
    ``colored`` makes this one so.
    """
    import segno  # noqa: PLC0415 - only who asks for a code pays for it

    rows = [[not dark for dark in row] for row in segno.make(text, error="m", micro=False).matrix_iter(border=QUIET)]
    below = [[False] * len(rows[0])]
    pairs = zip(rows[::2], [*rows[1::2], *below], strict=False)
    lines = ["".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]
    if colored:
        lines = [f"{_LIGHT_ON_DARK}{line}{_RESET}" for line in lines]
    return "\n".join(lines) + "\n"
