"""Text from elsewhere, made harmless for a terminal.

Names, reasons and log lines are users' words, and a terminal takes some characters for commands: they could retitle
its window, hide lines, or answer in the reader's name. Whoever reads is often root.
"""


def plain(text: str) -> str:
    """`text` with everything that is not for reading written out, but for line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)
