"""A journal that only grows: one JSON value a line, on the disk before it counts."""

import json
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes on one journal are not noticed
    fcntl = None


class Journal:
    """The events of a session in a file, JSON Lines.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.

    Attributes
    ----------
    events : list of dict
        What was in the file when it was opened. A last line that was cut short, by a kill or a full disk, never counted
        and is cut off.

    Raises
    ------
    ValueError
        If a line before the last one is damaged.
    OSError
        If another process has the journal open.
    """

    def __init__(self, path):
        self._path = Path(path)
        self._file = open(self._path, "a+b")
        try:
            self._lock()
            self.events, self._size = self._read()
            self._cut()
        except BaseException:
            self._file.close()
            raise

    def append(self, event):
        """Write an event; when this returns, a crash does not lose it. Where it fails, the file is as it was."""
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except BaseException:
            self._reopen()
            raise
        self._size += len(line)

    def close(self):
        """Close the file, which lets another process open it."""
        self._file.close()

    def _lock(self):
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OSError(
                f"{self._path} is open in another process: close that session first, or give another folder."
            ) from error

    def _read(self):
        """Whole events, and how many bytes they take."""
        self._file.seek(0)
        whole = self._file.read().split(b"\n")[:-1]  # what follows the last line break was cut short
        events = []
        for number, line in enumerate(whole, start=1):
            try:
                events.append(json.loads(line))
            except ValueError as error:
                raise ValueError(
                    f"Line {number} of {self._path} is damaged: {line[:80]!r}. Mend or remove it, nothing was changed."
                ) from error
        return events, sum(len(line) + 1 for line in whole)

    def _cut(self):
        self._file.truncate(self._size)
        os.fsync(self._file.fileno())

    def _reopen(self):
        """Leave nothing of a line that was written by half, in the file or in its buffer."""
        descriptor = os.dup(self._file.fileno())  # keeps the lock
        try:
            self._file.close()
        except OSError:  # the buffer goes where the line went
            pass
        self._file = os.fdopen(descriptor, "a+b")
        self._cut()
