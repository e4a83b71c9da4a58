"""One line that shows that the run is alive: rewritten on a terminal, appended elsewhere."""

import sys
import time


class Progress:
    def __init__(self, total, stream=sys.stderr):
        self._total = total
        self._done = 0
        self._stream = stream
        self._started = time.monotonic()
        self._current = ""

    def say(self, text):
        """Something that stays on the screen."""
        self._clear()
        print(f"[{self._clock()}] {text}", file=self._stream, flush=True)

    def begin(self, row, system, number):
        self._done += 1
        self._current = f"{self._done}/{self._total} {row}  {system}, round {number + 1}"
        if self._stream.isatty():
            self._clear()
            print(f"[{self._clock()}] {self._current} …", end="", file=self._stream, flush=True)

    def end(self, row, sample):
        text = f"[{self._clock()}] {self._current}: {sample.value(row.unit):,.1f} {row.unit}"
        if self._stream.isatty():
            self._clear()
            print(text, end="", file=self._stream, flush=True)
        else:
            print(text, file=self._stream, flush=True)

    def finish(self):
        self._clear()

    def _clear(self):
        if self._stream.isatty():
            print("\r\x1b[K", end="", file=self._stream)

    def _clock(self):
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"
