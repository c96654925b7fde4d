"""Files that are replaced only by whole ones."""

import os
from contextlib import contextmanager


@contextmanager
def replaced(path, temporary):
    """Open ``temporary`` to be written; where the block ends without an error it takes the place of ``path``.

    Parameters
    ----------
    path, temporary : Path
        In the same folder. What ``temporary`` held is lost; after an error it is gone, and ``path`` is as it was.
    """
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # a directory is synchronised like a file: without it the new name may be lost
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
